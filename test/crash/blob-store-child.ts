/**
 * A process to be killed: puts blobs for ever into the folder given, several at a time, and says which are acknowledged.
 * What blob number n holds follows from n, so the parent can check it.
 */

import fs from 'node:fs';
import { EmbeddedBlobStore } from '../../drivers/embedded/blob-store.ts';
import { blobOf } from './blob-store-blobs.ts';

const folder = process.argv[2]!;
let next = Number(process.argv[3]);
const store = new EmbeddedBlobStore({ folder, now: () => 1_790_000_000_000 + next, packSizeBytesMax: 512 * 1024 });
await store.open();

async function putter(): Promise<void> {
  for (;;) {
    const number = next++;
    await store.put(blobOf(number));
    // One write call, so that a line is there whole or not at all.
    fs.writeSync(1, `${number}\n`);
  }
}

/** Half of the blobs are garbage: marked, deleted, and their packs compacted while others are put. */
async function collector(): Promise<void> {
  const { liveRefs } = await import('./blob-store-blobs.ts');
  for (;;) {
    const isLive = async (refs: Parameters<typeof liveRefs>[0]) => liveRefs(refs, next);
    await store.collect({ now: 2_000_000_000_000, graceMs: 0, budgetMs: 50, isLive });
    await new Promise((resolve) => setImmediate(resolve));
  }
}

await Promise.all([...Array.from({ length: 8 }, putter), collector()]);
