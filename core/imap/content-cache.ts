/**
 * Bytes that are kept about contents (ENVELOPE, BODYSTRUCTURE …) for all sessions of the process. They lie in large
 * slabs, so that an entry costs little more than its bytes; when the slabs are full the oldest is given up as a whole,
 * and what is still wanted of it is read again. Contents never change, so nothing is ever stale.
 */

import type { AccountId, ContentId } from '../mail/ids.ts';

const SLAB_BYTES = 2 * 1024 * 1024;
/** Larger ones are not kept. */
const ENTRY_BYTES_MAX = 128 * 1024;
/** Before each entry's bytes: their number. */
const LENGTH_BYTES = 4;

interface Slab {
  readonly bytes: Buffer;
  used: number;
  /** Whose entries are in it, in order. */
  readonly entries: { readonly places: Map<number, number>; readonly content: number }[];
}

export class ContentCache {
  readonly #slabsMax: number;
  readonly #slabs: Slab[] = [];
  /** How many slabs have been given up: the number of the first that is there. */
  #first = 0;
  /** Place of an entry: its slab's number times SLAB_BYTES, and the offset. */
  readonly #accounts = new Map<AccountId, Map<number, number>>();

  constructor(bytesMax: number) {
    this.#slabsMax = Math.max(2, Math.floor(bytesMax / SLAB_BYTES));
  }

  get(account: AccountId, content: ContentId): Uint8Array | undefined {
    const place = this.#accounts.get(account)?.get(content);
    if (place === undefined) return undefined;
    const { bytes } = this.#slabs[Math.floor(place / SLAB_BYTES) - this.#first]!;
    const start = (place % SLAB_BYTES) + LENGTH_BYTES;
    return bytes.subarray(start, start + bytes.readUInt32LE(start - LENGTH_BYTES));
  }

  set(account: AccountId, content: ContentId, bytes: Uint8Array): void {
    if (bytes.length > ENTRY_BYTES_MAX) return;
    const places = this.#accounts.get(account) ?? new Map<number, number>();
    if (places.has(content)) return;
    const slab = this.#slabFor(LENGTH_BYTES + bytes.length);
    this.#accounts.set(account, places);
    slab.bytes.writeUInt32LE(bytes.length, slab.used);
    slab.bytes.set(bytes, slab.used + LENGTH_BYTES);
    places.set(content, (this.#first + this.#slabs.length - 1) * SLAB_BYTES + slab.used);
    slab.entries.push({ places, content });
    slab.used += LENGTH_BYTES + bytes.length;
  }

  #slabFor(length: number): Slab {
    const last = this.#slabs.at(-1);
    if (last !== undefined && last.used + length <= SLAB_BYTES) return last;
    if (this.#slabs.length === this.#slabsMax) {
      for (const { places, content } of this.#slabs.shift()!.entries) places.delete(content);
      this.#first++;
      for (const [account, places] of this.#accounts) if (places.size === 0) this.#accounts.delete(account);
    }
    const slab: Slab = { bytes: Buffer.allocUnsafeSlow(SLAB_BYTES), used: 0, entries: [] };
    this.#slabs.push(slab);
    return slab;
  }
}
