/**
 * The database server's time as this node knows it: measured now and then, and carried on in between by the monotonic
 * clock. Nodes whose own clocks are minutes apart thus agree about leases to within a round trip.
 */

import type { Mongo } from './mongo.ts';

const AGAIN_MS = 60_000;
/** A slower answer says too little about when it was given. */
const ROUND_TRIP_MS_MAX = 1000;

export class StoreClock {
  readonly #mongo: Pick<Mongo, 'now'>;
  #ahead = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(mongo: Pick<Mongo, 'now'>) {
    this.#mongo = mongo;
  }

  async open(): Promise<void> {
    await this.#measure(Number.POSITIVE_INFINITY);
    this.#timer = setInterval(() => {
      // Without an answer the last one holds; clocks do not drift apart that fast.
      this.#measure(ROUND_TRIP_MS_MAX).catch(() => {});
    }, AGAIN_MS).unref();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  /** Milliseconds since 1970. */
  now(): number {
    return Math.round(performance.now() + this.#ahead);
  }

  async #measure(roundTripMsMax: number): Promise<void> {
    const asked = performance.now();
    const time = await this.#mongo.now();
    const answered = performance.now();
    if (answered - asked <= roundTripMsMax) this.#ahead = time - (asked + answered) / 2;
  }
}
