/**
 * A second's memory of what was found, for questions that one message asks several times. Only what was found is kept, so
 * that what another node has just made is seen at once; what it has changed is seen a second later at most.
 */

const AGE_MS = 1000;
/** More and it starts anew: names come from the network, so they must not pile up. */
const ENTRIES_MAX = 10_000;

interface Entry<T> {
  readonly value: T;
  readonly at: number;
}

export class DirectoryCache<T> {
  readonly #find: (key: string) => Promise<T>;
  readonly #isFound: (value: T) => boolean;
  readonly #now: () => number;
  #known = new Map<string, Entry<T>>();

  constructor(find: (key: string) => Promise<T>, isFound: (value: T) => boolean, now: () => number) {
    this.#find = find;
    this.#isFound = isFound;
    this.#now = now;
  }

  async get(key: string): Promise<T> {
    const now = this.#now();
    const entry = this.#known.get(key);
    if (entry !== undefined && Math.abs(now - entry.at) < AGE_MS) return entry.value;
    // What was asked before a write must not be remembered after it: `drop` puts another map here.
    const known = this.#known;
    const value = await this.#find(key);
    if (known.size >= ENTRIES_MAX) known.clear();
    if (this.#isFound(value)) known.set(key, { value, at: now });
    else known.delete(key);
    return value;
  }

  /** A look-up that begins from now on sees what is in the store. */
  drop(): void {
    this.#known = new Map();
  }
}
