/**
 * Back-off after wrong passwords, by client address and by account, for all protocols together. Each further failure
 * doubles the wait up to a limit. A pair of address and account that worked before waits for its own failures only, so
 * guessing elsewhere, or a neighbour behind the same address, can't lock a user out. Memory is bounded: the least
 * recently used goes.
 */

import { networkOf } from '../mail/network.ts';

interface Failures {
  readonly count: number;
  readonly last: number;
}

export interface ThrottleOptions {
  /** Failures that cost nothing. */
  readonly failuresFree: number;
  readonly firstWaitMs: number;
  readonly waitMaxMs: number;
  /** Addresses, accounts and proven pairs remembered, each. */
  readonly entriesMax?: number;
}

/** Longest wait for an account, and for a proven pair: an attacker must not be able to keep a user out for long. */
const ACCOUNT_WAIT_MS_MAX = 60_000;
/** Failures are forgotten when none has followed for so long. */
const MEMORY_MS = 60 * 60_000;
const ENTRIES_MAX = 10_000;

/** A map that keeps the entries used last. */
class Recent<V> {
  readonly #entries = new Map<string, V>();
  readonly #max: number;

  constructor(max: number) {
    this.#max = max;
  }

  get(key: string): V | undefined {
    const value = this.#entries.get(key);
    if (value !== undefined) this.set(key, value);
    return value;
  }

  set(key: string, value: V): void {
    this.#entries.delete(key);
    this.#entries.set(key, value);
    if (this.#entries.size > this.#max) this.#entries.delete(this.#entries.keys().next().value!);
  }

  delete(key: string): void {
    this.#entries.delete(key);
  }
}

export class Throttle {
  readonly #options: ThrottleOptions;
  readonly #accountWaitMsMax: number;
  readonly #addresses: Recent<Failures>;
  readonly #accounts: Recent<Failures>;
  /** Pairs that worked, with their failures since. */
  readonly #proven: Recent<Failures>;

  constructor(options: ThrottleOptions) {
    const entriesMax = options.entriesMax ?? ENTRIES_MAX;
    this.#options = options;
    this.#accountWaitMsMax = Math.min(ACCOUNT_WAIT_MS_MAX, options.waitMaxMs);
    this.#addresses = new Recent(entriesMax);
    this.#accounts = new Recent(entriesMax);
    this.#proven = new Recent(entriesMax);
  }

  /** Whether a password may be tried now. `user` is the normalised name, of an account or of nobody. */
  check(remote: string, user: string, now: number): { readonly allowed: boolean; readonly retryAfterMs: number } {
    const address = networkOf(remote);
    const proven = this.#proven.get(pair(address, user));
    const wait =
      proven !== undefined
        ? this.#waitMs(proven, this.#accountWaitMsMax, now)
        : Math.max(
            this.#waitMs(this.#addresses.get(address), this.#options.waitMaxMs, now),
            this.#waitMs(this.#accounts.get(user), this.#accountWaitMsMax, now),
          );
    return { allowed: wait === 0, retryAfterMs: wait };
  }

  failed(remote: string, user: string, now: number): void {
    const address = networkOf(remote);
    const key = pair(address, user);
    const proven = this.#proven.get(key);
    if (proven !== undefined) this.#proven.set(key, more(proven, now));
    this.#addresses.set(address, more(this.#addresses.get(address), now));
    this.#accounts.set(user, more(this.#accounts.get(user), now));
  }

  /** The address's failures stay: else an attacker with one account would clear them between guesses. */
  succeeded(remote: string, user: string, now: number): void {
    this.#accounts.delete(user);
    this.#proven.set(pair(networkOf(remote), user), { count: 0, last: now });
  }

  #waitMs(failures: Failures | undefined, waitMaxMs: number, now: number): number {
    const { failuresFree, firstWaitMs } = this.#options;
    if (failures === undefined || !isFresh(failures, now) || failures.count <= failuresFree) return 0;
    const wait = Math.min(waitMaxMs, firstWaitMs * 2 ** Math.min(30, failures.count - failuresFree - 1));
    return Math.max(0, Math.min(wait, failures.last + wait - now));
  }
}

const pair = (address: string, user: string): string => `${address} ${user}`;

/** A clock that went back must not stretch a wait or keep failures for ever. */
const isFresh = (failures: Failures, now: number): boolean => Math.abs(now - failures.last) < MEMORY_MS;

function more(failures: Failures | undefined, now: number): Failures {
  return { count: failures !== undefined && isFresh(failures, now) ? failures.count + 1 : 1, last: now };
}
