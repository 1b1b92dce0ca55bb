/** A copy of all blobs in a store of another kind: a folder that can be kept elsewhere and opened without MongoDB. */

import { ClientError } from '../../core/mail/errors.ts';
import type { BlobStore } from '../../core/ports/blob-store.ts';
import { type BlobDocument, chunksOf, inlineBytes } from './blob-document.ts';
import type { BlobParts } from './blob-parts.ts';
import { readChunks } from './blob-reader.ts';
import { everyBlob } from './blob-verify.ts';

/** Copied at once, so that the folder's writes are made durable in groups. */
const AT_ONCE = 32;

/** Every blob that was there before the call is in `copy`, an empty store, when this resolves. */
export async function copyBlobs(parts: BlobParts, copy: BlobStore): Promise<void> {
  await copy.open();
  try {
    if ((await copy.stats()).count > 0)
      throw new ClientError('conflict', { detail: 'the destination holds blobs already' });
    let running: Promise<unknown>[] = [];
    for await (const blob of everyBlob(parts)) {
      // One that was collected since it was listed was nobody's.
      if (blob.encoding === 'chunks') await copyLarge(parts, blob, copy);
      else running.push(copy.put(inlineBytes(blob)));
      if (running.length < AT_ONCE) continue;
      await Promise.all(running);
      running = [];
    }
    await Promise.all(running);
  } finally {
    await copy.close();
  }
}

async function copyLarge(parts: BlobParts, blob: BlobDocument, copy: BlobStore): Promise<void> {
  const chunks = chunksOf(blob);
  const large = { size: blob.size, file: blob.file!, chunks };
  const writer = copy.writer();
  try {
    for await (const [, bytes] of readChunks(parts, blob._id, large, 0, chunks.length - 1)) await writer.write(bytes);
    await writer.commit();
  } finally {
    await writer.abort();
  }
}
