/** Blobs (and chunks of large ones) that are kept in memory, since whoever put or half read one reads it next. */

const CACHE_BYTES_MAX = 8 * 1024 * 1024;

export class BlobCache {
  readonly #held = new Map<string, Buffer>();
  #bytes = 0;

  get(key: string): Buffer | undefined {
    const bytes = this.#held.get(key);
    if (bytes === undefined) return;
    this.#held.delete(key);
    this.#held.set(key, bytes);
    return bytes;
  }

  /** Takes bytes that stay as they are; the least used of the others make room. */
  keep(key: string, bytes: Buffer): void {
    if (this.#held.has(key)) return;
    this.#held.set(key, bytes);
    this.#bytes += bytes.length;
    for (const oldest of this.#held.keys()) {
      if (this.#bytes <= CACHE_BYTES_MAX) break;
      this.forget(oldest);
    }
  }

  forget(key: string): void {
    this.#bytes -= this.#held.get(key)?.length ?? 0;
    this.#held.delete(key);
  }
}
