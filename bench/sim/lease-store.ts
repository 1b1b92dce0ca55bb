/**
 * The store as the simulation sees it: the lease of each account, granted as the mail store's port says, and how long
 * each question takes: shards answer one question after another, and commits take their time too.
 */

import type { Calendar } from './calendar.ts';

export interface StoreSettings {
  readonly shards: number;
  /** Lease questions that one shard answers in a second. */
  readonly shardOpsPerSecond: number;
  /** What one commit costs a shard, in lease questions. */
  readonly commitOps: number;
  /** There and back, when nothing waits. */
  readonly latencyMs: number;
}

/** Questions by kind, since the last `take`. */
export interface LeaseTraffic {
  asked: number;
  refused: number;
  holder: number;
  released: number;
  commits: number;
  /** Most lease questions in one second. */
  peak: number;
  /** Longest time a question waited for others of its shard. */
  queueMs: number;
}

const NOBODY = 0xffff;
const none = (): LeaseTraffic => ({
  asked: 0,
  refused: 0,
  holder: 0,
  released: 0,
  commits: 0,
  peak: 0,
  queueMs: 0,
});

export class LeaseStore {
  readonly #clock: Calendar;
  readonly #settings: StoreSettings;
  readonly #holder: Uint16Array;
  readonly #epoch: Uint32Array;
  readonly #ends: Float64Array;
  readonly #freeAt: Float64Array;
  #traffic = none();
  #second = -1;
  #inSecond = 0;

  constructor(clock: Calendar, accounts: number, settings: StoreSettings) {
    this.#clock = clock;
    this.#settings = settings;
    this.#holder = new Uint16Array(accounts).fill(NOBODY);
    this.#epoch = new Uint32Array(accounts);
    this.#ends = new Float64Array(accounts);
    this.#freeAt = new Float64Array(settings.shards);
  }

  /** The answer comes later: its epoch, or undefined while another holds the lease that is not `gone`. */
  lease(
    account: number,
    { process, gone, ttlMs }: { readonly process: number; readonly gone: number | undefined; readonly ttlMs: number },
    answer: (epoch: number | undefined) => void,
  ): void {
    this.#traffic.asked++;
    const after = this.#wait(account);
    const now = this.#clock.now;
    const holder = this.#holder[account]!;
    if (holder !== process && holder !== NOBODY && holder !== gone && this.#ends[account]! > now) {
      this.#traffic.refused++;
      this.#clock.in(after, () => answer(undefined));
      return;
    }
    const epoch = this.#epoch[account]! + (holder === process ? 0 : 1);
    this.#epoch[account] = epoch;
    this.#holder[account] = process;
    this.#ends[account] = now + ttlMs;
    this.#clock.in(after, () => answer(epoch));
  }

  holder(account: number, answer: (holder: { readonly process: number; readonly leftMs: number } | undefined) => void) {
    this.#traffic.holder++;
    const process = this.#holder[account]!;
    const leftMs = this.#ends[account]! - this.#clock.now;
    const there = process !== NOBODY && leftMs > 0;
    this.#clock.in(this.#wait(account), () => answer(there ? { process, leftMs } : undefined));
  }

  release(account: number, process: number, done: () => void): void {
    this.#traffic.released++;
    if (this.#holder[account] === process) this.#holder[account] = NOBODY;
    this.#clock.in(this.#wait(account), done);
  }

  /** false: Fenced. How long it takes is not of interest here, but others wait for it. */
  commit(account: number, epoch: number): boolean {
    this.#traffic.commits++;
    const shard = account % this.#settings.shards;
    const ms = (this.#settings.commitOps * 1_000) / this.#settings.shardOpsPerSecond;
    this.#freeAt[shard] = Math.max(this.#clock.now, this.#freeAt[shard]!) + ms;
    return this.#epoch[account] === epoch;
  }

  /** What there was since it was last asked for. */
  take(): LeaseTraffic {
    const traffic = this.#traffic;
    traffic.peak = Math.max(traffic.peak, this.#inSecond);
    this.#traffic = none();
    this.#inSecond = 0;
    return traffic;
  }

  #wait(account: number): number {
    const { now } = this.#clock;
    const { shards, shardOpsPerSecond, latencyMs } = this.#settings;
    const second = Math.floor(now / 1_000);
    if (second !== this.#second) {
      this.#traffic.peak = Math.max(this.#traffic.peak, this.#inSecond);
      this.#second = second;
      this.#inSecond = 0;
    }
    this.#inSecond++;
    const shard = account % shards;
    const begins = Math.max(now, this.#freeAt[shard]!);
    this.#freeAt[shard] = begins + 1_000 / shardOpsPerSecond;
    this.#traffic.queueMs = Math.max(this.#traffic.queueMs, begins - now);
    return begins - now + latencyMs;
  }
}
