/**
 * Does single jobs in groups: what waits goes together while other groups are on their way, so many cost the server and
 * this process few requests, and one alone goes at once.
 */

import { TemporaryError } from '../../core/mail/errors.ts';

interface Waiting<T, R> {
  readonly item: T;
  readonly resolve: (result: R) => void;
  readonly reject: (error: unknown) => void;
}

export class Grouped<T, R> {
  readonly #send: (items: readonly T[]) => Promise<readonly R[]>;
  readonly #most: number;
  readonly #flightsMax: number;
  readonly #waitingMax: number;
  readonly #waiting: Waiting<T, R>[] = [];
  #flights = 0;

  /**
   * @param send gives one result for each item, in order; a rejection is one of all of them
   * @param options.waitingMax beyond it jobs are rejected at once; to be given where nothing waits for each of them
   */
  constructor(
    send: (items: readonly T[]) => Promise<readonly R[]>,
    options: { readonly most: number; readonly flightsMax: number; readonly waitingMax?: number },
  ) {
    this.#send = send;
    this.#most = options.most;
    this.#flightsMax = options.flightsMax;
    this.#waitingMax = options.waitingMax ?? Number.POSITIVE_INFINITY;
  }

  add(item: T): Promise<R> {
    if (this.#waiting.length >= this.#waitingMax)
      return Promise.reject(new TemporaryError('storeUnavailable', { detail: 'too much waits to be stored' }));
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
