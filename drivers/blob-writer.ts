/**
 * A writer for one blob of unknown length, hashed as it comes: kept in memory up to a limit, given to what takes large
 * ones beyond. Nothing of it is visible before `commit`.
 */

import { createHash } from 'node:crypto';
import { Fault } from '../core/mail/errors.ts';
import type { BlobRef } from '../core/mail/ids.ts';
import type { BlobInfo, BlobWriter } from '../core/ports/blob-store.ts';

/** Where a blob goes that is too large for memory. */
interface Overflow {
  /** The bytes stay as they are. */
  add(bytes: Buffer): Promise<void>;
  discard(): Promise<void>;
}

/** How a store takes over what was written. */
interface WriterTarget<O extends Overflow> {
  readonly memoryBytesMax: number;
  overflow(): O;
  putSmall(ref: BlobRef, bytes: Buffer): Promise<BlobInfo>;
  putLarge(ref: BlobRef, size: number, overflow: O): Promise<BlobInfo>;
}

export class HashingBlobWriter<O extends Overflow> implements BlobWriter {
  readonly #target: WriterTarget<O>;
  readonly #hash = createHash('sha256');
  #pieces: Buffer[] = [];
  #size = 0;
  #overflow: O | undefined;
  #ended = false;
  #failure: unknown;

  constructor(target: WriterTarget<O>) {
    this.#target = target;
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.#check();
    this.#hash.update(bytes);
    this.#size += bytes.length;
    // The caller may use its bytes again as soon as this resolves.
    this.#pieces.push(Buffer.from(bytes));
    if (this.#size <= this.#target.memoryBytesMax) return;
    this.#overflow ??= this.#target.overflow();
    try {
      for (const piece of this.#pieces.splice(0)) await this.#overflow.add(piece);
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
    if (this.#overflow !== undefined) return this.#target.putLarge(ref, this.#size, this.#overflow);
    const pieces = this.#pieces;
    this.#pieces = [];
    return this.#target.putSmall(ref, pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces));
  }

  async abort(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    this.#pieces = [];
    await this.#overflow?.discard();
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#ended) throw new Fault('the blob was committed or aborted already');
  }
}
