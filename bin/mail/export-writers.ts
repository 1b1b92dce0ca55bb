/** The three forms an export takes. Each writes one mailbox, byte for byte, and passes over what it has written before. */

import { createWriteStream } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, rename, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { ExportFormat, ExportState } from './export-state.ts';
import { mailboxToMaildir, mailboxToPath } from './folder-name.ts';
import { maildirInfo, parseMaildirName } from './maildir.ts';
import { writeMbox } from './mbox-write.ts';

export interface Entry {
  readonly uid: number;
  readonly flags: readonly string[];
  readonly sizeBytes: number;
  /** Milliseconds since 1970. */
  readonly receivedAt: number;
}

export interface MailboxWriter {
  has(entry: Entry): Promise<boolean>;
  write(entry: Entry, bytes: AsyncIterable<Uint8Array>): Promise<void>;
  end(): Promise<void>;
}

/** Every so many messages the state of an mbox is saved: what is behind it would be written again. */
const SAVE_MESSAGES = 500;

async function mbox(folder: string, mailbox: string, uidValidity: number, state: ExportState): Promise<MailboxWriter> {
  const known = state.mailbox(mailbox, uidValidity);
  const path = join(folder, `${mailboxToPath(mailbox)}.mbox`);
  await mkdir(dirname(path), { recursive: true });
  const file: FileHandle = await open(path, known.bytes === 0 ? 'w' : 'r+');
  // Whatever an interrupted run wrote behind the last saved place is written again.
  await file.truncate(known.bytes);
  let at = known.bytes;
  let unsaved = 0;
  const save = async (): Promise<void> => {
    await file.datasync();
    await state.save();
    unsaved = 0;
  };
  return {
    has: async ({ uid }) => uid <= known.uid,
    async write(entry, bytes) {
      const begun = at;
      try {
        for await (const piece of writeMbox(bytes, entry.receivedAt)) {
          await file.write(piece, 0, piece.length, at);
          at += piece.length;
        }
      } catch (error) {
        at = begun;
        await file.truncate(begun);
        throw error;
      }
      known.uid = entry.uid;
      known.bytes = at;
      unsaved += 1;
      if (unsaved >= SAVE_MESSAGES) await save();
    },
    async end() {
      await save();
      await file.close();
    },
  };
}

async function writeWhole(path: string, tmp: string, bytes: AsyncIterable<Uint8Array>): Promise<void> {
  await pipeline(bytes, createWriteStream(tmp));
  await rename(tmp, path);
}

const sizeOf = (path: string): Promise<number> =>
  stat(path).then(
    ({ size }) => size,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return -1;
      throw error;
    },
  );

async function eml(folder: string, mailbox: string, uidValidity: number, state: ExportState): Promise<MailboxWriter> {
  state.mailbox(mailbox, uidValidity);
  const own = join(folder, mailboxToPath(mailbox));
  await mkdir(own, { recursive: true });
  const path = ({ uid }: Entry): string => join(own, `${String(uid).padStart(10, '0')}.eml`);
  return {
    has: async (entry) => (await sizeOf(path(entry))) === entry.sizeBytes,
    write: (entry, bytes) => writeWhole(path(entry), `${path(entry)}.new`, bytes),
    end: () => state.save(),
  };
}

async function maildir(
  folder: string,
  mailbox: string,
  uidValidity: number,
  state: ExportState,
): Promise<MailboxWriter> {
  state.mailbox(mailbox, uidValidity);
  const own = join(folder, mailboxToMaildir(mailbox));
  for (const part of ['cur', 'new', 'tmp']) await mkdir(join(own, part), { recursive: true });
  const there = new Set<string>();
  for (const part of ['cur', 'new'])
    for (const name of await readdir(join(own, part))) there.add(parseMaildirName(name).unique);
  const unique = ({ uid, receivedAt, sizeBytes }: Entry): string =>
    `${Math.floor(receivedAt / 1000)}.${uidValidity}_${uid}.mailmesh,S=${sizeBytes}`;
  return {
    has: async (entry) => there.has(unique(entry)),
    write: (entry, bytes) =>
      writeWhole(join(own, 'cur', unique(entry) + maildirInfo(entry.flags)), join(own, 'tmp', unique(entry)), bytes),
    end: () => state.save(),
  };
}

export const WRITERS: Readonly<
  Record<
    ExportFormat,
    (folder: string, mailbox: string, uidValidity: number, state: ExportState) => Promise<MailboxWriter>
  >
> = { mbox, maildir, eml };
