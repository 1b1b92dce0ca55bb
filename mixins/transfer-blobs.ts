/** Copies blobs between stores, each once while its place there is sure: within the grace that a put gives it. */

import { Fault } from '../core/mail/errors.ts';
import type { BlobRef } from '../core/mail/ids.ts';
import type { BlobStore } from '../core/ports/blob-store.ts';

const PIECE_BYTES = 1024 * 1024;
/** A blob that nothing refers to yet is kept for 24 hours: long before that its message is there. */
const SURE_MS = 3_600_000;
/** More and it starts anew: putting one again does no harm. */
const REMEMBERED_MAX = 500_000;

export class BlobCopier {
  readonly #from: BlobStore;
  readonly #to: BlobStore;
  readonly #sure = new Map<BlobRef, number>();
  copied = 0;
  bytes = 0;

  constructor(from: BlobStore, to: BlobStore) {
    this.#from = from;
    this.#to = to;
  }

  /** Resolves when it is there and stays for a while. Rejects with a Fault where the source has lost it. */
  async copy(ref: BlobRef): Promise<void> {
    const sureAt = this.#sure.get(ref);
    if (sureAt !== undefined && performance.now() - sureAt < SURE_MS) return;
    const info = await this.#from.stat(ref);
    if (info === undefined) throw new Fault('the blob is missing', { blob: ref });
    const began = performance.now();
    // Also where it is there already: putting it renews its grace.
    if (info.size <= PIECE_BYTES) await this.#to.put(await this.#from.read(ref, 0, info.size));
    else await this.#copyLarge(ref, info.size);
    if (this.#sure.size >= REMEMBERED_MAX) this.#sure.clear();
    this.#sure.set(ref, began);
    this.copied++;
    this.bytes += info.size;
  }

  async #copyLarge(ref: BlobRef, size: number): Promise<void> {
    const writer = this.#to.writer();
    try {
      for (let at = 0; at < size; at += PIECE_BYTES)
        await writer.write(await this.#from.read(ref, at, Math.min(size, at + PIECE_BYTES)));
      await writer.commit();
    } finally {
      await writer.abort();
    }
  }
}
