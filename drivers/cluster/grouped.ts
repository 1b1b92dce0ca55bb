/**
 * Does single jobs in groups: what waits goes together while other groups are on their way, so many cost the server and
 * this process few requests, and one alone goes at once.
 */

interface Waiting<T, R> {
  readonly item: T;
  readonly resolve: (result: R) => void;
  readonly reject: (error: unknown) => void;
}

export class Grouped<T, R> {
  readonly #send: (items: readonly T[]) => Promise<readonly R[]>;
  readonly #most: number;
  readonly #flightsMax: number;
  readonly #waiting: Waiting<T, R>[] = [];
  #flights = 0;

  /** @param send gives one result for each item, in order; a rejection is one of all of them */
  constructor(send: (items: readonly T[]) => Promise<readonly R[]>, options: { most: number; flightsMax: number }) {
    this.#send = send;
    this.#most = options.most;
    this.#flightsMax = options.flightsMax;
  }

  add(item: T): Promise<R> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, resolve, reject });
      // Those that come in the same turn go together.
      if (this.#waiting.length === 1) setImmediate(() => this.#start());
    });
  }

  #start(): void {
    while (this.#flights < this.#flightsMax && this.#waiting.length > 0)
      void this.#fly(this.#waiting.splice(0, this.#most));
  }

  async #fly(group: readonly Waiting<T, R>[]): Promise<void> {
    this.#flights++;
    try {
      const results = await this.#send(group.map((one) => one.item));
      for (const [i, { resolve }] of group.entries()) resolve(results[i]!);
    } catch (error) {
      for (const { reject } of group) reject(error);
    } finally {
      this.#flights--;
      this.#start();
    }
  }
}
