/**
 * Text as the set of its runs of three characters, each a hash of 32 bits. A text that holds a string holds each three
 * characters of it, so asking for those never leaves a match out; two runs with one hash only give more candidates. The
 * hash is seeded with a number of the account's own, so that nobody can write mail whose runs crowd into one place.
 */

import type { Slices } from './slices.ts';

export type Place = 'header' | 'body';

/** More of one needle would cost more than they narrow. */
const NEEDLE_TRIGRAMS_MAX = 16;
const NEEDLE_CHARACTERS_MAX = 1024;
const NEEDLES_MAX = 8;
/** Characters between two looks at the clock. */
const STRIDE = 16_384;

const SEEDS: Record<Place, number> = { header: 0x2545_f491, body: 0x7f4a_7c15 };

/** Never 0. */
function hash(seed: number, a: number, b: number, c: number): number {
  let h = Math.imul(seed ^ a, 0x9e37_79b1);
  h = Math.imul(h ^ (h >>> 15) ^ b, 0x85eb_ca6b);
  h = Math.imul(h ^ (h >>> 13) ^ c, 0xc2b2_ae35);
  h = Math.imul(h ^ (h >>> 16), 0x27d4_eb2f);
  return (h ^ (h >>> 15)) >>> 0 || 1;
}

/** Numbers above 0 without repetitions, in a table with open addresses. */
class HashSet {
  #table = new Uint32Array(1024);
  #size = 0;

  add(value: number): void {
    const mask = this.#table.length - 1;
    let at = value & mask;
    for (;;) {
      const there = this.#table[at];
      if (there === value) return;
      if (there === 0) break;
      at = (at + 1) & mask;
    }
    this.#table[at] = value;
    if (++this.#size * 2 > this.#table.length) this.#grow();
  }

  sorted(): Uint32Array {
    return this.#table.filter((value) => value !== 0).sort();
  }

  #grow(): void {
    const before = this.#table;
    this.#table = new Uint32Array(before.length * 2);
    this.#size = 0;
    for (const value of before) if (value !== 0) this.add(value);
  }
}

/** The hashes of a document's runs, ascending. Long texts leave room for others meanwhile. */
export async function documentHashes(
  seed: number,
  texts: Readonly<Record<Place, string>>,
  slices: Slices,
): Promise<Uint32Array> {
  const set = new HashSet();
  for (const place of ['header', 'body'] as const) {
    const text = texts[place];
    const seeded = seed ^ SEEDS[place];
    let a = -1;
    let b = -1;
    let look = STRIDE;
    for (let i = 0; i < text.length; i++) {
      const c = text.codePointAt(i)!;
      if (c > 0xffff) i++;
      if (a >= 0) set.add(hash(seeded, a, b, c));
      a = b;
      b = c;
      if (i < look) continue;
      look += STRIDE;
      await slices.pause();
    }
  }
  await slices.pause();
  return set.sorted();
}

/** Half of a pair: where a needle is cut inside of a character, the text has another one there. */
const isHalf = (character: string): boolean => /^[\ud800-\udfff]$/.test(character);

/** For each needle that has any: up to 16 of its runs of three characters, from all over it. */
export function needleRuns(needles: readonly string[]): readonly (readonly string[])[] {
  const runs: string[][] = [];
  for (const needle of needles) {
    const characters = [...needle.slice(0, NEEDLE_CHARACTERS_MAX)];
    const all = new Set<string>();
    for (let i = 0; i + 3 <= characters.length; i++) {
      const three = characters.slice(i, i + 3);
      if (!three.some(isHalf)) all.add(three.join(''));
    }
    if (all.size === 0) continue;
    const list = [...all];
    const step = Math.max(1, list.length / NEEDLE_TRIGRAMS_MAX);
    runs.push(
      Array.from({ length: Math.min(list.length, NEEDLE_TRIGRAMS_MAX) }, (_, i) => list[Math.floor(i * step)]!),
    );
    if (runs.length === NEEDLES_MAX) break;
  }
  return runs;
}

export function runHash(seed: number, place: Place, run: string): number {
  const [a, b, c] = Array.from(run, (character) => character.codePointAt(0)!);
  return hash(seed ^ SEEDS[place], a!, b!, c!);
}
