/**
 * A writer for one blob of unknown length: kept in memory up to what a pack's record may hold, spooled to a temporary
 * file beyond. Nothing of it is visible before `commit`.
 */

import { createHash } from 'node:crypto';
import { Fault, type MailError } from '../../core/mail/errors.ts';
import type { BlobRef } from '../../core/mail/ids.ts';
import type { BlobInfo, BlobWriter } from '../../core/ports/blob-store.ts';
import { Spool } from './blob-file.ts';
import { diskError } from './blob-io.ts';
import { PACKED_BYTES_MAX } from './blob-pack.ts';

/** How the store takes over what was written. */
export interface WriterTarget {
  putSmall(ref: BlobRef, bytes: Buffer): Promise<BlobInfo>;
  putSpooled(ref: BlobRef, size: number, spool: Spool): Promise<BlobInfo>;
  temporaryFile(): string;
}

export class EmbeddedBlobWriter implements BlobWriter {
  readonly #target: WriterTarget;
  readonly #hash = createHash('sha256');
  #pieces: Buffer[] = [];
  #size = 0;
  #spool: Spool | undefined;
  #ended = false;
  #failure: MailError | undefined;

  constructor(target: WriterTarget) {
    this.#target = target;
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.#check();
    this.#hash.update(bytes);
    this.#size += bytes.length;
    // The caller may use its bytes again as soon as this resolves.
    this.#pieces.push(Buffer.from(bytes));
    if (this.#size <= PACKED_BYTES_MAX) return;
    this.#spool ??= new Spool(this.#target.temporaryFile());
    try {
      for (const piece of this.#pieces.splice(0)) await this.#spool.add(piece);
    } catch (error) {
      await this.#fail(error);
    }
  }

  async commit(): Promise<BlobInfo> {
    this.#check();
    this.#ended = true;
    const ref = this.#hash.digest('hex') as BlobRef;
    if (this.#spool !== undefined) return this.#target.putSpooled(ref, this.#size, this.#spool);
    const pieces = this.#pieces;
    this.#pieces = [];
    return this.#target.putSmall(ref, pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces));
  }

  async abort(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    this.#pieces = [];
    await this.#spool?.discard();
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#ended) throw new Fault('the blob was committed or aborted already');
  }

  async #fail(error: unknown): Promise<never> {
    this.#failure = diskError(error, 'spool');
    await this.abort();
    throw this.#failure;
  }
}
