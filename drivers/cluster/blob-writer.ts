/**
 * A writer for one blob of unknown length: kept in memory up to 1 MiB, sent to GridFS as it comes beyond. Nothing of it is
 * visible before `commit`.
 */

import { createHash } from 'node:crypto';
import { Fault } from '../../core/mail/errors.ts';
import type { BlobRef } from '../../core/mail/ids.ts';
import type { BlobInfo, BlobWriter } from '../../core/ports/blob-store.ts';
import type { Upload } from './blob-upload.ts';

export const MEMORY_BYTES_MAX = 1024 * 1024;

/** How the store takes over what was written. */
interface WriterTarget {
  putSmall(ref: BlobRef, bytes: Buffer): Promise<BlobInfo>;
  putUploaded(ref: BlobRef, size: number, upload: Upload): Promise<BlobInfo>;
  upload(): Upload;
}

export class ClusterBlobWriter implements BlobWriter {
  readonly #target: WriterTarget;
  readonly #hash = createHash('sha256');
  #pieces: Buffer[] = [];
  #size = 0;
  #upload: Upload | undefined;
  #ended = false;
  #failure: unknown;

  constructor(target: WriterTarget) {
    this.#target = target;
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.#check();
    this.#hash.update(bytes);
    this.#size += bytes.length;
    if (this.#size <= MEMORY_BYTES_MAX) {
      // The caller may use its bytes again as soon as this resolves.
      this.#pieces.push(Buffer.from(bytes));
      return;
    }
    this.#upload ??= this.#target.upload();
    try {
      for (const piece of this.#pieces.splice(0)) await this.#upload.add(piece);
      await this.#upload.add(bytes);
    } catch (error) {
      this.#failure = error;
      await this.abort();
      throw error;
    }
  }

  async commit(): Promise<BlobInfo> {
    this.#check();
    this.#ended = true;
    const ref = this.#hash.digest('hex') as BlobRef;
    if (this.#upload !== undefined) return this.#target.putUploaded(ref, this.#size, this.#upload);
    const pieces = this.#pieces;
    this.#pieces = [];
    return this.#target.putSmall(ref, pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces));
  }

  async abort(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    this.#pieces = [];
    await this.#upload?.discard();
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#ended) throw new Fault('the blob was committed or aborted already');
  }
}
