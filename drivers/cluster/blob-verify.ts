/**
 * Reads every blob and compares its checksums and its SHA-256. `repair` deletes the documents of blobs whose bytes are
 * gone, so that putting them again writes them anew. Puts and reads go on meanwhile.
 */

import { createHash, hash } from 'node:crypto';
import { MailError, TemporaryError } from '../../core/mail/errors.ts';
import { blobRef } from '../../core/mail/ids.ts';
import type { Damage } from '../../core/ports/blob-store.ts';
import { type BlobDocument, chunksOf, inlineBytes } from './blob-document.ts';
import type { BlobParts } from './blob-parts.ts';
import { type BlobReader, readChunks } from './blob-reader.ts';

/** At most 13 MB of inline bytes at a time. */
const BATCH = 50;

export async function verifyBlobs(parts: BlobParts, reader: BlobReader, repair: boolean): Promise<readonly Damage[]> {
  const damages: Damage[] = [];
  for await (const blob of everyBlob(parts)) {
    const detail = await problemOf(parts, blob);
    if (detail === null) continue;
    const { _id, file, crc, at } = blob;
    // Deleted, or deleted and put again, while it was being read.
    const same = await parts.blobs.findOne({ _id }, { fields: ['file', 'crc'] });
    if (same === undefined || same.file !== file || same.crc !== crc) continue;
    damages.push({ what: `blob ${_id}`, detail, repaired: repair });
    if (!repair) continue;
    if (file !== undefined) await parts.uploads.insertOne({ _id: file, state: 'dropped', at, ref: _id });
    await parts.blobs.deleteOne({ _id, ...(file === undefined ? {} : { file }) });
    reader.forget(_id);
  }
  return damages;
}

/** All blobs in order of their refs, with what is inline; those put meanwhile may be among them. */
export async function* everyBlob({ blobs }: BlobParts): AsyncGenerator<BlobDocument> {
  let after = '';
  for (;;) {
    const found = await blobs.find({ filter: { _id: { $gt: blobRef(after) } }, sort: { _id: 1 }, limit: BATCH });
    yield* found;
    if (found.length < BATCH) return;
    after = found.at(-1)!._id;
  }
}

async function problemOf(parts: BlobParts, blob: BlobDocument): Promise<string | null> {
  try {
    let digest: string;
    if (blob.encoding === 'chunks') {
      const sum = createHash('sha256');
      const chunks = chunksOf(blob);
      const large = { size: blob.size, file: blob.file ?? '', chunks };
      for await (const [, bytes] of readChunks(parts, blob._id, large, 0, chunks.length - 1)) sum.update(bytes);
      digest = sum.digest('hex');
    } else digest = hash('sha256', inlineBytes(blob), 'hex');
    return digest === blob._id ? null : 'SHA-256 differs';
  } catch (error) {
    if (error instanceof TemporaryError || !(error instanceof MailError)) throw error;
    return error.message;
  }
}
