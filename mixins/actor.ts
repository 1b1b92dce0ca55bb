/**
 * Ownership of accounts by this node's mailbox actors: a lease with an epoch is taken before the first write, renewed by
 * writes only, and given back when another node is in charge or at the end; core/mesh/lease.ts has the rules. No timers: an
 * idle account costs nothing, its lease just runs out. That writes are right is the doing of the epoch that each carries.
 */

import { Fenced, TemporaryError } from '../core/mail/errors.ts';
import type { AccountId } from '../core/mail/ids.ts';
import { givesBack, heldUntil, type LeaseTimes, type LeaseView, retryAfter, writeStep } from '../core/mesh/lease.ts';
import type { CommitResult, Lease, MailStore, Op } from '../core/ports/mail-store.ts';

/** Accounts remembered before those whose leases have run out are forgotten. */
const REMEMBERED = 10_000;
/** Given back at a time when many are. */
const RELEASED_AT_ONCE = 32;

export interface OwnerOptions {
  readonly store: MailStore;
  /** This process, not only this node: one that comes back under the same name must not take the former's epoch over. */
  readonly owner: string;
  readonly times: LeaseTimes;
  /** How long a commit waits for a lease that another holds. */
  readonly waitMs: number;
  /** Milliseconds that never jump: the node's clock may be wrong. */
  readonly elapsed: () => number;
  readonly sleep: (ms: number) => Promise<void>;
  readonly random: () => number;
  /** Whether routing names this node for the account. */
  readonly mine: (account: AccountId) => boolean;
  /** Whether another holder is among the nodes that routing knows. */
  readonly lives: (holder: string) => boolean;
}

interface Held {
  lease: Promise<Lease>;
  /** By `elapsed`; Infinity while the lease is being asked for, so that others wait for the same answer. */
  until: number;
  running: number;
  /** Called when the last running commit has ended. */
  ended: (() => void) | undefined;
}

/** Stands for a lease that nobody has asked for yet. */
const NONE = new Promise<never>(() => undefined);

/** Someone else is asked, or later: whoever wanted the write tries again. */
const passing = (account: AccountId, detail: string): TemporaryError =>
  new TemporaryError('storeUnavailable', { account, detail, passing: true });

export class AccountOwner {
  readonly #options: OwnerOptions;
  readonly #held = new Map<AccountId, Held>();
  /** Accounts on their way out: whoever wants to write one of them waits. */
  readonly #leaving = new Map<AccountId, Promise<void>>();
  #draining = false;

  constructor(options: OwnerOptions) {
    this.#options = options;
  }

  /** Leases that have not run out. */
  get count(): number {
    const now = this.#options.elapsed();
    let count = 0;
    for (const { until } of this.#held.values()) if (until > now) count++;
    return count;
  }

  /** Commits with this node's epoch. A lost lease is taken again once: a deposed owner's write changed nothing. */
  async commit(account: AccountId, ops: readonly Op[], request?: string): Promise<CommitResult> {
    try {
      return await this.#attempt(account, ops, request);
    } catch (error) {
      if (!(error instanceof Fenced)) throw error;
      return this.#attempt(account, ops, request);
    }
  }

  /** Routing has changed: accounts of other nodes are given back, those with running commits when these have ended. */
  async settle(): Promise<void> {
    const leaving: AccountId[] = [];
    for (const [account, held] of this.#held)
      if (givesBack(this.#view(account, held.until), held.running)) leaving.push(account);
    await this.#release(leaving);
  }

  /** Gives all accounts back, each after its running commits. */
  async releaseAll(): Promise<void> {
    await this.#release([...this.#held.keys()]);
    await Promise.allSettled(this.#leaving.values());
  }

  /** Likewise, and takes none any more: other nodes are in charge. */
  async drain(): Promise<void> {
    this.#draining = true;
    await this.releaseAll();
  }

  #view(account: AccountId, until: number): LeaseView {
    const { elapsed, mine } = this.#options;
    return { until, now: elapsed(), mine: mine(account), draining: this.#draining };
  }

  async #attempt(account: AccountId, ops: readonly Op[], request: string | undefined): Promise<CommitResult> {
    const { store } = this.#options;
    while (this.#leaving.has(account)) await this.#leaving.get(account);
    const held = this.#hold(account);
    held.running++;
    try {
      const { epoch } = await held.lease;
      return await (request === undefined
        ? store.commit(account, epoch, ops)
        : store.commit(account, epoch, ops, request));
    } catch (error) {
      if (error instanceof Fenced) this.#forget(account, held);
      throw error;
    } finally {
      if (--held.running === 0) {
        if (held.ended !== undefined) held.ended();
        else if (givesBack(this.#view(account, held.until), 0)) void this.#release([account]);
      }
    }
  }

  #hold(account: AccountId): Held {
    const known = this.#held.get(account);
    const step = writeStep(this.#view(account, known?.until ?? 0), this.#options.times);
    if (step === 'write') return known!;
    if (step === 'decline') throw passing(account, 'another node is in charge of the account');
    const held = known ?? { lease: NONE, until: 0, running: 0, ended: undefined };
    held.until = Number.POSITIVE_INFINITY;
    held.lease = this.#take(account, held);
    if (known === undefined && this.#held.size >= REMEMBERED) this.#forgetOld();
    this.#held.set(account, held);
    return held;
  }

  async #take(account: AccountId, held: Held): Promise<Lease> {
    const { store, owner, times, waitMs, elapsed, sleep, random, mine, lives } = this.#options;
    const deadline = elapsed() + waitMs;
    try {
      let gone: string | undefined;
      for (let tries = 0; ; tries++) {
        const askedAt = elapsed();
        const lease = await store.lease(account, owner, times.ttlMs, gone);
        if (lease !== undefined) {
          held.until = heldUntil(askedAt, times.ttlMs);
          return lease;
        }
        const holder = await store.holder(account);
        if (holder === undefined) continue;
        gone = lives(holder.owner) ? undefined : holder.owner;
        const pause = retryAfter({ leftMs: holder.leftMs, lives: gone === undefined }, tries, random(), times);
        if (elapsed() + pause > deadline || this.#draining || !mine(account))
          throw passing(account, `held by ${holder.owner}`);
        await sleep(pause);
      }
    } catch (error) {
      this.#forget(account, held);
      throw error;
    }
  }

  async #release(accounts: readonly AccountId[]): Promise<void> {
    for (let i = 0; i < accounts.length; i += RELEASED_AT_ONCE)
      await Promise.allSettled(accounts.slice(i, i + RELEASED_AT_ONCE).map((account) => this.#leave(account)));
  }

  /** A lease that can't be given back runs out. */
  #leave(account: AccountId): Promise<void> {
    const held = this.#held.get(account);
    if (held === undefined) return this.#leaving.get(account) ?? Promise.resolve();
    this.#held.delete(account);
    const left = this.#giveBack(account, held).finally(() => void this.#leaving.delete(account));
    this.#leaving.set(account, left);
    return left;
  }

  async #giveBack(account: AccountId, held: Held): Promise<void> {
    if (held.running > 0)
      await new Promise<void>((resolve) => {
        held.ended = resolve;
      });
    await this.#options.store.release(account, this.#options.owner);
  }

  #forget(account: AccountId, held: Held): void {
    if (this.#held.get(account) === held) this.#held.delete(account);
  }

  #forgetOld(): void {
    const now = this.#options.elapsed();
    for (const [account, { until, running }] of this.#held)
      if (running === 0 && until <= now) this.#held.delete(account);
  }
}
