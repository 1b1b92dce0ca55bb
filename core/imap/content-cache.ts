/**
 * Bytes that are kept about contents (ENVELOPE, BODYSTRUCTURE …) for all sessions of the process, up to a limit. Two
 * generations stand for the order of use: what is asked for moves to the young one, and when that holds half of the
 * limit it becomes the old one, whose untouched rest is forgotten. Contents never change, so nothing is ever stale.
 */

import type { AccountId, ContentId } from '../mail/ids.ts';

type Generation = Map<AccountId, Map<number, Uint8Array>>;

/** What an entry takes besides its bytes. */
const ENTRY_BYTES = 200;

export class ContentCache {
  readonly #bytesMax: number;
  #young: Generation = new Map();
  #old: Generation = new Map();
  #youngBytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get(account: AccountId, content: ContentId): Uint8Array | undefined {
    const found = this.#young.get(account)?.get(content);
    if (found !== undefined) return found;
    const old = this.#old.get(account)?.get(content);
    if (old !== undefined) this.set(account, content, old);
    return old;
  }

  set(account: AccountId, content: ContentId, bytes: Uint8Array): void {
    if (this.#youngBytes >= this.#bytesMax / 2) {
      this.#old = this.#young;
      this.#young = new Map();
      this.#youngBytes = 0;
    }
    let contents = this.#young.get(account);
    if (contents === undefined) {
      contents = new Map();
      this.#young.set(account, contents);
    }
    if (contents.has(content)) return;
    contents.set(content, bytes);
    this.#youngBytes += bytes.length + ENTRY_BYTES;
  }
}
