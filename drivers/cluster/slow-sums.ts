/** Sums over whole collections, for statistics: those that took long are used again for a while. */

/** Below, they are made anew each time. */
const SLOW_MS = 250;
/** They cost the server at most such a part of its time. */
const SHARE = 1 / 100;
/** They may take so long, however large the collection is. */
export const SUM_MS_MAX = 60_000;

export class SlowSums<T> {
  readonly #sum: () => Promise<T>;
  #known: { readonly value: T; readonly until: number } | undefined;
  #running: Promise<T> | undefined;

  constructor(sum: () => Promise<T>) {
    this.#sum = sum;
  }

  /** Those that ask meanwhile get the same answer. */
  get(): Promise<T> {
    if (this.#known !== undefined && performance.now() < this.#known.until) return Promise.resolve(this.#known.value);
    this.#running ??= this.#measure().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #measure(): Promise<T> {
    const started = performance.now();
    const value = await this.#sum();
    const tookMs = performance.now() - started;
    if (tookMs > SLOW_MS) this.#known = { value, until: performance.now() + tookMs / SHARE };
    return value;
  }
}
