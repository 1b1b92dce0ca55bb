/** One mbox file, or a folder of `NAME.mbox` files, as an import's source. Goes on at the offset of a message. */

import { createReadStream } from 'node:fs';
import { open, readdir, stat } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { CommandError } from '../errors.ts';
import { pathToMailbox } from './folder-name.ts';
import { headerDate, headerFlags } from './header-facts.ts';
import { NotMbox, type Quoting, readMbox } from './mbox-read.ts';
import type { OpenSource, SourceMessage } from './source.ts';

const PIECE_BYTES = 256 * 1024;

interface File {
  readonly path: string;
  readonly name: string;
  readonly mailbox: string;
  readonly size: number;
}

interface Place {
  readonly file: string;
  readonly offset: number;
  readonly index: number;
}

async function filesOf(path: string, mailbox: string | undefined): Promise<File[]> {
  const info = await stat(path);
  if (!info.isDirectory()) return [{ path, name: '', mailbox: mailbox ?? 'INBOX', size: info.size }];
  const entries = await readdir(path, { recursive: true, withFileTypes: true });
  const names = entries.filter((entry) => entry.isFile() && entry.name.endsWith('.mbox'));
  const files: File[] = [];
  for (const entry of names) {
    const file = join(entry.parentPath, entry.name);
    const name = relative(path, file);
    const own = pathToMailbox(name.slice(0, -'.mbox'.length));
    files.push({ path: file, name, mailbox: mailbox ?? own, size: (await stat(file)).size });
  }
  if (files.length === 0) throw new CommandError(`${path} holds no .mbox files`);
  return files.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Whether a message begins there: the file may have been changed since. */
async function begins(file: File, offset: number): Promise<boolean> {
  const handle = await open(file.path, 'r');
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(5), 0, 5, offset);
    return offset === file.size || (bytesRead === 5 && buffer.toString('latin1') === 'From ');
  } finally {
    await handle.close();
  }
}

async function* messagesOf(file: File, from: Place, quoting: Quoting): AsyncGenerator<SourceMessage> {
  const stream = createReadStream(file.path, { start: from.offset, highWaterMark: PIECE_BYTES });
  let { index } = from;
  try {
    for await (const { start, date, bytes } of readMbox(stream, { offset: from.offset, quoting })) {
      const place: Place = { file: file.name, offset: start, index };
      yield {
        mailbox: file.mailbox,
        key: `${file.name}#${index}`,
        read: () => bytes,
        flags: headerFlags,
        internalDate: (header) => date ?? headerDate(header),
        resume: JSON.stringify(place),
      };
      index += 1;
    }
  } catch (error) {
    if (error instanceof NotMbox) throw new CommandError(`${file.path}: ${error.message}`);
    throw error;
  } finally {
    stream.destroy();
  }
}

export const openMbox =
  (path: string, options: { readonly mailbox: string | undefined; readonly quoting: Quoting }): OpenSource =>
  async (resume) => {
    const files = await filesOf(path, options.mailbox);
    let place = resume === null ? undefined : (JSON.parse(resume) as Place);
    let first = files.findIndex(({ name }) => name === place?.file);
    if (place === undefined || first < 0 || !(await begins(files[first]!, place.offset)))
      [place, first] = [undefined, 0];
    const done = files.slice(0, first).reduce((sum, { size }) => sum + size, place?.offset ?? 0);
    return {
      total: { unit: 'bytes', count: files.reduce((sum, { size }) => sum + size, 0), done },
      async *messages() {
        for (const [i, file] of files.slice(first).entries()) {
          const from = i === 0 && place !== undefined ? place : { file: file.name, offset: 0, index: 0 };
          yield* messagesOf(file, from, options.quoting);
        }
      },
      close: async () => {},
    };
  };
