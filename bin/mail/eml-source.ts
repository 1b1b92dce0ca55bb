/** A folder of `.eml` files, or one such file, as an import's source: subfolders are mailboxes. */

import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, join, relative } from 'node:path';
import { CommandError } from '../errors.ts';
import { pathToMailbox } from './folder-name.ts';
import { headerDate, headerFlags } from './header-facts.ts';
import type { OpenSource } from './source.ts';

async function filesOf(path: string): Promise<string[]> {
  const entries = await readdir(path, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile() && entry.name.toLowerCase().endsWith('.eml'))
    .map((entry) => relative(path, join(entry.parentPath, entry.name)))
    .sort();
}

export const openEml =
  (path: string, options: { readonly mailbox: string | undefined }): OpenSource =>
  async () => {
    const single = !(await stat(path)).isDirectory();
    const root = single ? dirname(path) : path;
    const files = single ? [basename(path)] : await filesOf(path);
    if (files.length === 0) throw new CommandError(`${path} holds no .eml files`);
    return {
      total: { unit: 'messages', count: files.length, done: 0 },
      async *messages() {
        for (const file of files) {
          const { mtimeMs } = await stat(join(root, file));
          const folder = dirname(file);
          yield {
            mailbox: options.mailbox ?? (folder === '.' ? 'INBOX' : pathToMailbox(folder)),
            key: file,
            read: () => createReadStream(join(root, file)),
            flags: headerFlags,
            internalDate: (header) => headerDate(header) ?? Math.floor(mtimeMs / 1000),
            resume: null,
          };
        }
      },
      close: async () => {},
    };
  };
