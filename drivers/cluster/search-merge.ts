/** Postings of several sources as those of one, and of documents in memory; both leave room for others as they go. */

import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Posting, PostingSource } from './search-segments.ts';
import { Slices } from './slices.ts';

/** Postings between two looks at the clock. */
const STRIDE = 512;
/** Pairs sorted at once: some milliseconds. */
const PAIRS_MAX = 65_536;

/** Sources in one, by ascending hash; contents that are `dead` in their source are left out. */
export class MergedPostings implements PostingSource {
  readonly #sources: {
    readonly source: PostingSource;
    readonly dead: ReadonlySet<number>;
    posting: Posting | undefined;
    isAtEnd: boolean;
  }[];
  #stride = 0;
  readonly #slices = new Slices();

  constructor(sources: readonly { readonly source: PostingSource; readonly dead: ReadonlySet<number> }[]) {
    this.#sources = sources.map((source) => ({ ...source, posting: undefined, isAtEnd: false }));
  }

  next(): Posting | undefined {
    if (++this.#stride > STRIDE) return undefined;
    for (;;) {
      let hash = Number.POSITIVE_INFINITY;
      for (const one of this.#sources) {
        if (one.posting === undefined) {
          one.posting = one.source.next();
          if (one.posting === undefined) {
            if (one.isAtEnd) continue;
            return undefined;
          }
        }
        if (one.posting.hash < hash) hash = one.posting.hash;
      }
      if (hash === Number.POSITIVE_INFINITY) return undefined;
      const contents = this.#take(hash);
      if (contents.length > 0) return { hash, contents };
    }
  }

  async fill(): Promise<boolean> {
    this.#stride = 0;
    await this.#slices.pause();
    let isAtEnd = true;
    for (const one of this.#sources) {
      if (one.posting === undefined && !one.isAtEnd) {
        one.posting = one.source.next();
        if (one.posting === undefined) one.isAtEnd = !(await one.source.fill());
      }
      if (one.posting !== undefined || !one.isAtEnd) isAtEnd = false;
    }
    return !isAtEnd;
  }

  /** The contents of the hash in all sources, which go on behind it. */
  #take(hash: number): readonly number[] {
    let contents: number[] = [];
    let isSorted = true;
    for (const one of this.#sources) {
      if (one.posting?.hash !== hash) continue;
      const { dead } = one;
      const more =
        dead.size === 0 ? one.posting.contents : one.posting.contents.filter((content) => !dead.has(content));
      one.posting = undefined;
      if (contents.length > 0 && more.length > 0 && more[0]! < contents.at(-1)!) isSorted = false;
      contents = contents.length === 0 ? [...more] : contents.concat(more);
    }
    return isSorted ? contents : contents.sort((a, b) => a - b);
  }
}

/** Documents' hashes as postings. Contents must be ascending. */
export function documentPostings(
  documents: readonly { readonly content: number; readonly hashes: Uint32Array }[],
): PostingSource {
  const runs: PostingSource[] = [];
  let run: (typeof documents)[number][] = [];
  let pairs = 0;
  for (const document of documents) {
    if (run.length > 0 && pairs + document.hashes.length > PAIRS_MAX) {
      runs.push(new SortedRun(run));
      run = [];
      pairs = 0;
    }
    run.push(document);
    pairs += document.hashes.length;
  }
  runs.push(new SortedRun(run));
  return new MergedPostings(runs.map((source) => ({ source, dead: new Set() })));
}

/** Room for the place of a document behind its hash in one number. */
const PLACES = 2 ** 16;

class SortedRun implements PostingSource {
  #documents: readonly { readonly content: number; readonly hashes: Uint32Array }[];
  #pairs: Float64Array | undefined;
  #at = 0;

  constructor(documents: readonly { readonly content: number; readonly hashes: Uint32Array }[]) {
    this.#documents = documents;
  }

  next(): Posting | undefined {
    const pairs = this.#pairs;
    if (pairs === undefined || this.#at >= pairs.length) return undefined;
    const hash = Math.floor(pairs[this.#at]! / PLACES);
    const contents: number[] = [];
    for (; this.#at < pairs.length && Math.floor(pairs[this.#at]! / PLACES) === hash; this.#at++)
      contents.push(this.#documents[pairs[this.#at]! % PLACES]!.content);
    return { hash, contents };
  }

  async fill(): Promise<boolean> {
    if (this.#pairs !== undefined) return false;
    const pairs = new Float64Array(this.#documents.reduce((sum, { hashes }) => sum + hashes.length, 0));
    let at = 0;
    for (const [place, { hashes }] of this.#documents.entries())
      for (const hash of hashes) pairs[at++] = hash * PLACES + place;
    this.#pairs = pairs.sort();
    await nextTurn();
    return pairs.length > 0;
  }
}
