/**
 * Stored form of a message's features: schema, the signals' steps, a campaign key, then each hashed group's buckets in
 * ascending order as differences in base 128. About 1.1 bytes a feature, and never any text.
 */

import { Fault } from '../mail/errors.ts';
import type { FeatureSet } from './feature-set.ts';
import {
  CONTENT,
  type FeatureLists,
  GROUP_BUCKETS,
  RAW,
  SCHEMA,
  SIGNAL,
  SIGNAL_STEPS,
  SIGNALS,
  TEXT,
} from './schema.ts';

const HASHED = SIGNAL;
const HEAD = 2 + SIGNALS.length + 4;

/** Distinct features of one group, at most. */
const GROUP_FEATURES_MAX = 16_384;

/** Encodes into one buffer that is reused between messages. */
export class FeatureEncoder {
  readonly #bytes = new Uint8Array(HEAD + HASHED * (GROUP_FEATURES_MAX + 1) * 3);
  readonly #sorted = new Uint32Array(GROUP_FEATURES_MAX);
  #at = 0;

  encode(sets: readonly FeatureSet[], signals: Uint8Array): Uint8Array {
    const bytes = this.#bytes;
    bytes[0] = SCHEMA;
    bytes[1] = SIGNALS.length;
    bytes.set(signals, 2);
    const campaign = campaignOf(sets);
    for (let i = 0; i < 4; i++) bytes[2 + SIGNALS.length + i] = (campaign >>> (8 * i)) & 255;
    this.#at = HEAD;
    for (let group = 0; group < HASHED; group++) {
      const count = sets[group]!.ascending(this.#sorted);
      this.#varint(count);
      let before = -1;
      for (let i = 0; i < count; i++) {
        const bucket = this.#sorted[i]!;
        this.#varint(bucket - before - 1);
        before = bucket;
      }
    }
    return bytes.slice(0, this.#at);
  }

  #varint(value: number): void {
    let rest = value;
    for (; rest > 127; rest >>>= 7) this.#bytes[this.#at++] = (rest & 127) | 128;
    this.#bytes[this.#at++] = rest;
  }
}

/** How many of the smallest permuted buckets make a campaign's key: near-duplicates share them all with high likelihood. */
const SKETCH = 3;

/**
 * Names the mailing a message belongs to: the smallest values of its visible content under a fixed permutation. Copies
 * that differ in a few words get the same key; unlike ones do not.
 */
function campaignOf(sets: readonly FeatureSet[]): number {
  const set = sets[CONTENT]!.count >= 20 ? sets[CONTENT]! : sets[sets[TEXT]!.count > 0 ? TEXT : RAW]!;
  const least = new Float64Array(SKETCH).fill(Number.POSITIVE_INFINITY);
  for (let i = 0; i < set.count; i++) {
    let value = Math.imul(set.list[i]! ^ 0x5bd1e995, 0x9e3779b1);
    value = Math.imul(value ^ (value >>> 15), 0x2c1b3c6d) >>> 0;
    for (let place = 0; place < SKETCH; place++) {
      if (value >= least[place]!) continue;
      for (let later = SKETCH - 1; later > place; later--) least[later] = least[later - 1]!;
      least[place] = value;
      break;
    }
  }
  let key = set.count === 0 ? 1 : 0x811c9dc5;
  for (const value of least) if (value !== Number.POSITIVE_INFINITY) key = Math.imul(key ^ value, 0x01000193);
  return key >>> 0;
}

/** Reads stored features into lists that are reused: what it gives is void at the next `decode`. */
export class FeatureDecoder implements FeatureLists {
  readonly lists: readonly Uint32Array[] = GROUP_BUCKETS.map((buckets, group) =>
    group === SIGNAL ? new Uint32Array(SIGNALS.length) : new Uint32Array(Math.min(buckets, GROUP_FEATURES_MAX)),
  );
  readonly counts = new Int32Array(GROUP_BUCKETS.length);
  /** Of the last message: equal for near-duplicates. */
  campaign = 0;
  #bytes: Uint8Array = new Uint8Array(0);
  #at = 0;

  /** False when the features are of another schema. Rejects broken ones with a Fault. */
  decode(bytes: Uint8Array): boolean {
    if (bytes.length < HEAD || bytes[0] !== SCHEMA || bytes[1] !== SIGNALS.length) return false;
    let count = 0;
    for (let signal = 0; signal < SIGNALS.length; signal++) {
      const step = bytes[2 + signal]!;
      if (step >= SIGNAL_STEPS) throw new Fault('stored features are broken', { signal, step });
      if (step > 0) this.lists[SIGNAL]![count++] = signal * SIGNAL_STEPS + step;
    }
    this.counts[SIGNAL] = count;
    const at = 2 + SIGNALS.length;
    this.campaign = (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
    this.#bytes = bytes;
    this.#at = HEAD;
    for (let group = 0; group < HASHED; group++) this.#group(this.lists[group]!, group);
    if (this.#at !== bytes.length)
      throw new Fault('stored features are broken', { at: this.#at, length: bytes.length });
    return true;
  }

  #group(list: Uint32Array, group: number): void {
    const buckets = GROUP_BUCKETS[group]!;
    const total = this.#varint();
    if (total > list.length) throw new Fault('stored features are broken', { total, group });
    let bucket = -1;
    for (let i = 0; i < total; i++) {
      bucket += this.#varint() + 1;
      list[i] = bucket;
    }
    if (bucket >= buckets) throw new Fault('stored features are broken', { bucket, group });
    this.counts[group] = total;
  }

  #varint(): number {
    const bytes = this.#bytes;
    let byte = bytes[this.#at++]!;
    if (byte < 128) return byte;
    let value = byte & 127;
    for (let shift = 7; shift <= 14; shift += 7) {
      byte = bytes[this.#at++]!;
      value |= (byte & 127) << shift;
      if (byte < 128) return value;
    }
    throw new Fault('stored features are broken', { at: this.#at });
  }
}
