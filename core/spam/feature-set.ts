/**
 * One group's distinct buckets while a message is taken apart. A bitmap drops repeats and gives ascending order without
 * sorting; it is cleared by walking what was set, so nothing is allocated per message. Tokens keep where they came from,
 * so that the strongest can be named without a second pass and without text being stored.
 */

import { bucketOf } from './hash.ts';

/** Names one feature: `kind` of token and the text it was made from. */
export interface Origin {
  readonly kind: number;
  readonly text: string;
}

export class FeatureSet {
  readonly list: Uint32Array;
  count = 0;
  readonly #bitmap: Uint32Array;
  /** One bit for each word of the bitmap that is not empty. */
  readonly #summary: Uint32Array;
  readonly #shift: number;
  readonly #kinds: Uint8Array | null;
  readonly #starts: Int32Array | null;
  readonly #ends: Int32Array | null;
  readonly #sources: string[] = [];

  /** @param named whether features remember their origin (tokens) or not (n-grams) */
  constructor(buckets: number, featuresMax: number, named: boolean) {
    this.list = new Uint32Array(featuresMax);
    this.#bitmap = new Uint32Array((buckets + 31) >>> 5);
    this.#summary = new Uint32Array((this.#bitmap.length + 31) >>> 5);
    this.#shift = Math.clz32(buckets - 1);
    this.#kinds = named ? new Uint8Array(featuresMax) : null;
    this.#starts = named ? new Int32Array(featuresMax) : null;
    this.#ends = named ? new Int32Array(featuresMax) : null;
  }

  clear(): void {
    for (let i = 0; i < this.count; i++) this.#bitmap[this.list[i]! >>> 5] = 0;
    this.#summary.fill(0);
    this.count = 0;
    this.#sources.length = 0;
  }

  /** Adds a bucket that has no name. Beyond the limit it is left out. */
  addBucket(bucket: number): void {
    const word = bucket >>> 5;
    const bit = 1 << (bucket & 31);
    const before = this.#bitmap[word]!;
    if ((before & bit) !== 0 || this.count === this.list.length) return;
    this.#bitmap[word] = before | bit;
    if (before === 0) this.#summary[word >>> 5]! |= 1 << (word & 31);
    this.list[this.count++] = bucket;
  }

  /** Adds a token by its hash; `text` [start, end) is what people are shown when it matters. */
  addToken(kind: number, hash: number, text: string, start: number, end: number): void {
    const at = this.count;
    this.addBucket(bucketOf(hash, this.#shift));
    if (this.count === at) return;
    this.#kinds![at] = kind;
    this.#starts![at] = start;
    this.#ends![at] = end;
    this.#sources[at] = text;
  }

  /** 4-grams of bytes [start, end). */
  addByteGrams(bytes: Uint8Array, start: number, end: number): void {
    if (end - start < 4) return;
    let gram = (bytes[start]! << 8) | (bytes[start + 1]! << 16) | (bytes[start + 2]! << 24);
    for (let i = start + 3; i < end; i++) {
      gram = (gram >>> 8) | (bytes[i]! << 24);
      this.addBucket(bucketOf(gram, this.#shift));
    }
  }

  /** 4-grams of UTF-16 units [start, end). */
  addTextGrams(text: string, start: number, end: number): void {
    if (end - start < 4) return;
    let high = text.charCodeAt(start);
    let middle = text.charCodeAt(start + 1);
    let low = text.charCodeAt(start + 2);
    for (let i = start + 3; i < end; i++) {
      const last = text.charCodeAt(i);
      this.addBucket(
        bucketOf(
          Math.imul(high, 0x01000193) ^
            Math.imul(middle, 0x00013a67) ^
            Math.imul(low, 0x0000c2b3) ^
            (last << 22) ^
            last,
          this.#shift,
        ),
      );
      high = middle;
      middle = low;
      low = last;
    }
  }

  /** Where the feature at this place of the list came from; null for n-grams. */
  origin(place: number): Origin | null {
    if (this.#kinds === null) return null;
    const text = this.#sources[place] ?? '';
    return { kind: this.#kinds[place]!, text: text.slice(this.#starts![place]!, this.#ends![place]!) };
  }

  /** Writes the buckets in ascending order. How many. */
  ascending(out: Uint32Array): number {
    const bitmap = this.#bitmap;
    const summary = this.#summary;
    let count = 0;
    for (let part = 0; part < summary.length; part++) {
      for (let words = summary[part]!; words !== 0; words &= words - 1) {
        const word = (part << 5) | (31 - Math.clz32(words & -words));
        for (let bits = bitmap[word]!; bits !== 0; bits &= bits - 1)
          out[count++] = (word << 5) | (31 - Math.clz32(bits & -bits));
      }
    }
    return count;
  }
}
