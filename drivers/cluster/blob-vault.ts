/**
 * Blobs in one MongoDB collection, shared by all nodes: small ones inline in a document named by their SHA-256, larger
 * ones in GridFS. A blob is there when its document is, which is written last and by a majority; nothing but its state
 * and age ever changes, so every node may put, read and collect at any time.
 */

import { hash } from 'node:crypto';
import { TemporaryError } from '../../core/mail/errors.ts';
import type { BlobRef } from '../../core/mail/ids.ts';
import type { BlobInfo, BlobStats, BlobStore, BlobWriter, Damage } from '../../core/ports/blob-store.ts';
import { HashingBlobWriter } from '../blob-writer.ts';
import { copyBlobs } from './blob-backup.ts';
import { collectBlobs } from './blob-collect.ts';
import { compress, INLINE_BYTES_MAX, inlineBlob } from './blob-document.ts';
import { BlobInserter } from './blob-inserter.ts';
import { BlobParts } from './blob-parts.ts';
import { BlobReader } from './blob-reader.ts';
import { touchBlob } from './blob-touch.ts';
import { Upload } from './blob-upload.ts';
import { verifyBlobs } from './blob-verify.ts';
import type { Mongo } from './mongo.ts';
import { SlowSums, SUM_MS_MAX } from './slow-sums.ts';

const HELD_BYTES_MAX = 128 * 1024;
/** Longer ones are looked up first, since sending them in vain costs more than asking. */
const UNASKED_BYTES_MAX = 64 * 1024;

/** A blob that is being written goes to GridFS from here on, as it comes. */
const MEMORY_BYTES_MAX = 1024 * 1024;

export class BlobVault {
  readonly #parts: BlobParts;
  readonly #reader: BlobReader;
  readonly #inserter: BlobInserter;
  /** Puts at work by ref: an equal one waits for the first instead of sending the bytes again. */
  readonly #writing = new Map<BlobRef, Promise<BlobInfo>>();
  /** Collection, verification and backup exclude each other on one node. */
  #maintenance: Promise<unknown> = Promise.resolve();
  readonly #sums = new SlowSums(() => this.#sum());

  constructor(mongo: Mongo, name: string, now: () => number) {
    this.#parts = new BlobParts(mongo, name, now);
    this.#reader = new BlobReader(this.#parts);
    this.#inserter = new BlobInserter(this.#parts.blobs);
  }

  open(): Promise<void> {
    return this.#parts.makeIndexes();
  }

  async close(): Promise<void> {
    await this.#maintenance.catch(() => undefined);
    await Promise.allSettled(this.#writing.values());
  }

  writer(): BlobWriter {
    return new HashingBlobWriter({
      memoryBytesMax: MEMORY_BYTES_MAX,
      overflow: () => new Upload(this.#parts),
      putSmall: async (ref, bytes) => {
        const info = await this.#put(ref, bytes);
        if (bytes.length <= HELD_BYTES_MAX) this.#parts.cache.keep(ref, bytes);
        return info;
      },
      putLarge: (ref, size, upload) => this.#putUploaded(ref, size, upload),
    });
  }

  put(bytes: Uint8Array): Promise<BlobInfo> {
    return this.#put(hash('sha256', bytes, 'hex') as BlobRef, bytes);
  }

  async stat(ref: BlobRef): Promise<BlobInfo | undefined> {
    const found = await this.#parts.blobs.findOne({ _id: ref }, { fields: ['size'] });
    return found === undefined ? undefined : { ref, size: found.size };
  }

  read(ref: BlobRef, start: number, end: number): Promise<Uint8Array> {
    return this.#reader.read(ref, start, end);
  }

  collect(options: Parameters<BlobStore['collect']>[0]): ReturnType<BlobStore['collect']> {
    return this.#alone(() => collectBlobs(this.#parts, this.#reader, options));
  }

  verify(repair: boolean): Promise<readonly Damage[]> {
    return this.#alone(() => verifyBlobs(this.#parts, this.#reader, repair));
  }

  /** Puts all blobs into `copy`, an empty store that is not open yet, and closes it. */
  copyTo(copy: BlobStore): Promise<void> {
    return this.#alone(() => copyBlobs(this.#parts, copy));
  }

  stats(): Promise<BlobStats> {
    return this.#sums.get();
  }

  async #sum(): Promise<BlobStats> {
    const [sums] = await this.#parts.blobs.group<BlobStats & { _id: null }>(
      {
        filter: { state: { $in: ['live', 'dying'] } },
        by: null,
        sums: { count: 1, bytes: '$size', stored: '$stored' },
      },
      SUM_MS_MAX,
    );
    return { count: sums?.count ?? 0, bytes: sums?.bytes ?? 0, stored: sums?.stored ?? 0 };
  }

  #alone<T>(run: () => Promise<T>): Promise<T> {
    const result = this.#maintenance.then(run, run);
    this.#maintenance = result;
    return result;
  }

  #once(ref: BlobRef, size: number, write: () => Promise<void>): Promise<BlobInfo> {
    const running = this.#writing.get(ref);
    if (running !== undefined) return running;
    const promise = write()
      .then(() => ({ ref, size }))
      .finally(() => this.#writing.delete(ref));
    this.#writing.set(ref, promise);
    return promise;
  }

  #put(ref: BlobRef, bytes: Uint8Array): Promise<BlobInfo> {
    return this.#once(ref, bytes.length, async () => {
      if (bytes.length > UNASKED_BYTES_MAX && (await touchBlob(this.#parts, ref))) return;
      if (bytes.length <= MEMORY_BYTES_MAX) {
        const payload = await compress(bytes);
        if (payload.length <= INLINE_BYTES_MAX) return this.#insert(ref, bytes.length, payload);
      }
      const upload = new Upload(this.#parts);
      try {
        await upload.add(bytes);
        await upload.publish(ref, bytes.length);
      } finally {
        await discard(upload);
      }
    });
  }

  async #insert(ref: BlobRef, size: number, payload: Uint8Array): Promise<void> {
    for (let attempt = 1; attempt <= 5; attempt++) {
      if (await this.#inserter.insert(inlineBlob(ref, size, payload, this.#parts.now()))) return;
      if (await touchBlob(this.#parts, ref)) return;
      // It was there and has been deleted between the two.
    }
    throw new TemporaryError('storeUnavailable', { detail: 'put and deleted in turns', ref });
  }

  async #putUploaded(ref: BlobRef, size: number, upload: Upload): Promise<BlobInfo> {
    try {
      return await this.#once(ref, size, async () => {
        if (!(await touchBlob(this.#parts, ref))) await upload.publish(ref, size);
      });
    } finally {
      await discard(upload);
    }
  }
}

async function discard(upload: Upload): Promise<void> {
  try {
    await upload.discard();
  } catch (error) {
    // It is announced among the uploads, where the collection finds it.
    if (!(error instanceof TemporaryError)) throw error;
  }
}
