/**
 * A labelled stream of mail from a folder: `index.tsv` gives number, label, file, received time and size in the order in
 * which messages are judged and learned. Messages are read one at a time.
 */

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExtractInput } from '../core/spam/extract.ts';

export interface StreamItem {
  readonly label: 'spam' | 'ham';
  /** Milliseconds since 1970. */
  readonly at: number;
  read(): Uint8Array;
}

export function readStream(folder: string): StreamItem[] {
  const index = join(folder, 'index.tsv');
  if (!existsSync(index)) throw new Error(`${index} is not there: name the folder of a corpus`);
  const items: StreamItem[] = [];
  for (const line of readFileSync(index, 'utf8').split('\n')) {
    const [, label, file, seconds] = line.split('\t');
    if (file === undefined || (label !== 'spam' && label !== 'ham')) continue;
    items.push({ label, at: Number(seconds) * 1000, read: () => readFileSync(join(folder, file)) });
  }
  return items;
}

/** What a filter would have known: the reverse-path as the last server wrote it down, nothing of the connection. */
export function asInput(bytes: Uint8Array): ExtractInput {
  const head = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, 8192)).toString('latin1');
  const reversePath = /^return-path:[ \t]*<?([^>\r\n]*)/im.exec(head)?.[1];
  return {
    bytes,
    envelopeSender: reversePath ?? null,
    helo: null,
    clientAddress: null,
    tls: null,
    authentication: null,
  };
}
