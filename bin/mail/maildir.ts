/** Maildir names: the flags in them, and a Maildir or Maildir++ folder as an import's source. */

import { createReadStream } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { CommandError } from '../errors.ts';
import { maildirToMailbox } from './folder-name.ts';
import type { OpenSource, SourceMessage } from './source.ts';

const FLAGS: Readonly<Record<string, string>> = {
  D: '\\Draft',
  F: '\\Flagged',
  P: '$Forwarded',
  R: '\\Answered',
  S: '\\Seen',
  T: '\\Deleted',
};

/** `:2,FS` and the like, with the letters in ASCII order as the format wants them. */
export const maildirInfo = (flags: readonly string[]): string =>
  `:2,${Object.keys(FLAGS)
    .filter((letter) => flags.some((flag) => flag.toLowerCase() === FLAGS[letter]!.toLowerCase()))
    .sort()
    .join('')}`;

interface Name {
  /** Without the flags: stays the same when they change. */
  readonly unique: string;
  readonly letters: string;
}

/** Some programs write `;` or `!` for the colon, which not every file system takes. */
export function parseMaildirName(name: string): Name {
  const match = /^(.*)[:;!]2,([A-Za-z]*)$/.exec(name);
  return match === null ? { unique: name, letters: '' } : { unique: match[1]!, letters: match[2]! };
}

/** Letters a–z are keywords that a file beside `cur` names: `0 $Junk`, one a line. */
async function readKeywords(folder: string): Promise<Record<string, string>> {
  const text = await readFile(join(folder, 'dovecot-keywords'), 'latin1').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw error;
  });
  const keywords: Record<string, string> = {};
  for (const line of text.split('\n').slice(0, 26)) {
    const match = /^(\d{1,2}) (\S{1,200})$/.exec(line);
    if (match !== null) keywords[String.fromCharCode(97 + Number(match[1]))] = match[2]!;
  }
  return keywords;
}

interface Folder {
  readonly path: string;
  readonly mailbox: string;
}

const isMaildir = async (path: string): Promise<boolean> =>
  stat(join(path, 'cur')).then(
    (info) => info.isDirectory(),
    () => false,
  );

const PARTS = new Set(['cur', 'new', 'tmp']);

/** Maildir++ subfolders begin with a dot; others are folders within folders. */
async function foldersOf(path: string, mailbox: string): Promise<Folder[]> {
  const found: Folder[] = (await isMaildir(path)) ? [{ path, mailbox: mailbox || 'INBOX' }] : [];
  for (const entry of await readdir(path, { withFileTypes: true })) {
    if (!entry.isDirectory() || PARTS.has(entry.name)) continue;
    const below = join(path, entry.name);
    const dotted = entry.name.startsWith('.') && entry.name.length > 1;
    const own = dotted ? maildirToMailbox(entry.name) : entry.name;
    found.push(...(await foldersOf(below, mailbox === '' ? own : `${mailbox}/${own}`)));
  }
  return found;
}

interface Entry {
  readonly file: string;
  readonly name: Name;
  readonly seen: boolean;
}

async function namesIn(folder: Folder, part: 'cur' | 'new'): Promise<string[]> {
  const names = await readdir(join(folder.path, part)).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  return names.filter((name) => !name.startsWith('.'));
}

async function entriesOf(folder: Folder): Promise<Entry[]> {
  const entries: Entry[] = [];
  for (const part of ['cur', 'new'] as const) {
    for (const name of await namesIn(folder, part))
      entries.push({ file: join(folder.path, part, name), name: parseMaildirName(name), seen: part === 'cur' });
  }
  // Names begin with the time of delivery: uids ascend as the messages came.
  return entries.sort((a, b) => (a.name.unique < b.name.unique ? -1 : 1));
}

async function* messagesOf(folder: Folder, mailbox: string): AsyncGenerator<SourceMessage> {
  const keywords = await readKeywords(folder.path);
  for (const { file, name, seen } of await entriesOf(folder)) {
    const info = await stat(file).catch((error: NodeJS.ErrnoException) => {
      // Renamed by its owner since the folder was listed: the next import finds it.
      if (error.code === 'ENOENT') return undefined;
      throw error;
    });
    if (info === undefined || !info.isFile()) continue;
    const letters = seen ? [...name.letters] : [];
    const flags = letters.map((letter) => FLAGS[letter] ?? keywords[letter]).filter((flag) => flag !== undefined);
    yield {
      mailbox,
      key: name.unique,
      read: () => createReadStream(file),
      flags: () => flags,
      internalDate: () => Math.floor(info.mtimeMs / 1000),
      resume: null,
    };
  }
}

export const openMaildir =
  (path: string, options: { readonly mailbox: string | undefined }): OpenSource =>
  async () => {
    const folders = await foldersOf(path, '');
    if (folders.length === 0) throw new CommandError(`${path} is no Maildir: it has no folder cur`);
    let count = 0;
    for (const folder of folders)
      count += (await namesIn(folder, 'cur')).length + (await namesIn(folder, 'new')).length;
    return {
      total: { unit: 'messages', count, done: 0 },
      async *messages() {
        for (const folder of folders) yield* messagesOf(folder, options.mailbox ?? folder.mailbox);
      },
      close: async () => {},
    };
  };
