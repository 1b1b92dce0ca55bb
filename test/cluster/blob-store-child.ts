/**
 * A process to be killed: puts blobs for ever into the database given, several at a time, and says which are
 * acknowledged; meanwhile it collects those with even numbers. What blob number n holds follows from n.
 */

import fs from 'node:fs';
import { TemporaryError } from '../../core/mail/errors.ts';
import type { BlobRef } from '../../core/mail/ids.ts';
import { ClusterBlobStore } from '../../drivers/cluster/blob-store.ts';
import { Mongo } from '../../drivers/cluster/mongo.ts';
import { EmbeddedBlobStore } from '../../drivers/embedded/blob-store.ts';
import { blobOf, liveRefs } from '../crash/blob-store-blobs.ts';

const mongo = new Mongo({ url: process.argv[2]! });
let next = Number(process.argv[3]);
const now = () => 1_790_000_000_000 + next;
const store = new ClusterBlobStore({ mongo, now, archive: (folder) => new EmbeddedBlobStore({ folder, now }) });
await mongo.open();
await store.open();

/** An overloaded server answers late, and then it is tried again, as the senders of mail do. */
async function tried(act: () => Promise<unknown>): Promise<boolean> {
  try {
    await act();
    return true;
  } catch (error) {
    if (error instanceof TemporaryError) return false;
    throw error;
  }
}

async function putter(): Promise<void> {
  for (;;) {
    const number = next++;
    if (!(await tried(() => store.put(blobOf(number))))) continue;
    // One write call, so that a line is there whole or not at all.
    fs.writeSync(1, `${number}\n`);
  }
}

async function collector(): Promise<void> {
  const isLive = async (refs: readonly BlobRef[]) => liveRefs(refs, next);
  for (;;) await tried(() => store.collect({ now: now(), graceMs: 0, budgetMs: 50, isLive }));
}

await Promise.all([...Array.from({ length: 8 }, putter), collector()]);
