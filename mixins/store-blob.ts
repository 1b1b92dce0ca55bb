/** Puts a stream into the blob store within a limit. */

import { ClientError } from '../core/mail/errors.ts';
import type { BlobRef } from '../core/mail/ids.ts';
import type { BlobStore } from '../core/ports/blob-store.ts';

/** Rejects with ClientError messageTooBig, keeping nothing, when there is more than the limit. */
export async function storeBlob(
  blobs: BlobStore,
  stream: AsyncIterable<Uint8Array>,
  sizeBytesMax: number,
): Promise<{ readonly blob: BlobRef; readonly sizeBytes: number }> {
  const writer = blobs.writer();
  let sizeBytes = 0;
  try {
    for await (const piece of stream) {
      sizeBytes += piece.length;
      if (sizeBytes > sizeBytesMax) throw new ClientError('messageTooBig', { sizeBytesMax });
      await writer.write(piece);
    }
    const { ref, size } = await writer.commit();
    return { blob: ref, sizeBytes: size };
  } catch (error) {
    await writer.abort();
    throw error;
  }
}
