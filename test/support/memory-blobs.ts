/** A blob store of arrays for tests of what reads and writes blobs; only reading, writing and putting work. */

import { createHash } from 'node:crypto';
import { Fault } from '../../core/mail/errors.ts';
import { type BlobRef, blobRef } from '../../core/mail/ids.ts';
import type { BlobInfo, BlobStore, BlobWriter } from '../../core/ports/blob-store.ts';

export class MemoryBlobs {
  readonly blobs = new Map<BlobRef, Buffer>();
  reads = 0;

  async put(bytes: Uint8Array): Promise<BlobInfo> {
    const ref = blobRef(createHash('sha256').update(bytes).digest('hex'));
    this.blobs.set(ref, Buffer.from(bytes));
    return { ref, size: bytes.length };
  }

  writer(): BlobWriter {
    let pieces: Buffer[] = [];
    return {
      write: async (bytes) => {
        pieces.push(Buffer.from(bytes));
      },
      commit: () => this.put(Buffer.concat(pieces)),
      abort: async () => {
        pieces = [];
      },
    };
  }

  async read(ref: BlobRef, start: number, end: number): Promise<Uint8Array> {
    this.reads++;
    const blob = this.blobs.get(ref);
    if (blob === undefined || end > blob.length) throw new Fault('no such bytes', { ref, start, end });
    return blob.subarray(start, end);
  }

  asStore(): BlobStore {
    return this as unknown as BlobStore;
  }
}
