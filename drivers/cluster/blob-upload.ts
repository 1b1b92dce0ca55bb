/**
 * One large blob on its way into GridFS. The file is announced among the uploads before its first byte and signed off
 * after its blob names it, so whatever a crash leaves is found there; the blob's document is written last, so nothing
 * half written is ever visible.
 */

import { randomUUID } from 'node:crypto';
import type { GridFSBucketWriteStream, ObjectId } from 'mongodb';
import { TemporaryError } from '../../core/mail/errors.ts';
import type { BlobRef } from '../../core/mail/ids.ts';
import { CHUNK_BYTES, ChunkTable, compress, fileBlob } from './blob-document.ts';
import type { BlobParts } from './blob-parts.ts';
import { touchBlob } from './blob-touch.ts';
import { within } from './mongo-collection.ts';

/** After so many chunks in a row that did not shrink the rest is not tried. */
const INCOMPRESSIBLE_MAX = 4;

export class Upload {
  readonly #parts: BlobParts;
  readonly #id = randomUUID();
  readonly #table = new ChunkTable();
  #stream: GridFSBucketWriteStream | undefined;
  #pending: Uint8Array[] = [];
  #pendingBytes = 0;
  #incompressible = 0;
  /** An operation may still be at work in the server, or have made the file its blob's: only the collection may judge. */
  #left = false;

  constructor(parts: BlobParts) {
    this.#parts = parts;
  }

  /** Takes bytes that stay as they are until the next call. Resolves when the whole chunks among them are sent. */
  async add(bytes: Uint8Array): Promise<void> {
    let rest = bytes;
    while (this.#pendingBytes + rest.length >= CHUNK_BYTES) {
      const head = rest.subarray(0, CHUNK_BYTES - this.#pendingBytes);
      rest = rest.subarray(head.length);
      const chunk = this.#pending.length === 0 ? head : Buffer.concat([...this.#pending, head]);
      this.#pending = [];
      this.#pendingBytes = 0;
      await this.#send(chunk);
    }
    if (rest.length === 0) return;
    this.#pending.push(Buffer.from(rest));
    this.#pendingBytes += rest.length;
  }

  /** Makes the file the blob's, or drops it where the blob is there already. Resolves when that survives power loss. */
  async publish(ref: BlobRef, size: number): Promise<void> {
    if (this.#pendingBytes > 0) await this.#send(Buffer.concat(this.#pending));
    await this.#attempt((stream, done) => stream.end(done));
    const { uploads, blobs, now } = this.#parts;
    this.#left = true;
    const signed = await uploads.updateOne({ _id: this.#id, state: 'open' }, { $set: { ref, at: now() } });
    if (signed.matched === 0) throw new TemporaryError('storeUnavailable', { detail: 'the upload took too long', ref });
    const file = { id: this.#id, stored: this.#table.stored, table: this.#table.encode() };
    for (let attempt = 1; ; attempt++) {
      if (await blobs.insertOne(fileBlob(ref, size, file, now()))) {
        // The blob is safe: an entry that stays is found to be of use by the collection, and signed off then.
        await uploads.deleteOne({ _id: this.#id }).catch(() => undefined);
        return;
      }
      if (await touchBlob(this.#parts, ref)) {
        this.#left = false;
        return this.discard();
      }
      // It was there and has been deleted between the two.
      if (attempt === 5) throw new TemporaryError('storeUnavailable', { detail: 'put and deleted in turns', ref });
    }
  }

  /** Takes away what was sent. */
  async discard(): Promise<void> {
    this.#pending = [];
    this.#stream?.destroy();
    if (this.#stream === undefined || this.#left) return;
    this.#left = true;
    await this.#parts.dropFile(this.#id);
  }

  async #send(bytes: Uint8Array): Promise<void> {
    const payload = this.#incompressible < INCOMPRESSIBLE_MAX ? await compress(bytes) : bytes;
    this.#incompressible = payload === bytes ? this.#incompressible + 1 : 0;
    this.#table.add(payload, payload !== bytes);
    await this.#attempt((stream, done) => stream.write(payload, done));
  }

  async #attempt(act: (stream: GridFSBucketWriteStream, done: (error?: Error | null) => void) => void): Promise<void> {
    try {
      this.#stream ??= await this.#begin();
      const stream = this.#stream;
      await within(
        () =>
          new Promise<void>((resolve, reject) => {
            act(stream, (error) => (error ? reject(error) : resolve()));
          }),
      );
    } catch (error) {
      this.#left = true;
      throw error;
    }
  }

  async #begin(): Promise<GridFSBucketWriteStream> {
    const { uploads, bucket, now } = this.#parts;
    await uploads.insertOne({ _id: this.#id, state: 'open', at: now(), ref: null });
    const stream = bucket.openUploadStreamWithId(this.#id as unknown as ObjectId, this.#id);
    // Each failure is also given to the call that met it.
    stream.on('error', () => undefined);
    return stream;
  }
}
