/**
 * Ownership of accounts by this node's mailbox actors: a lease with an epoch is taken before the first write, kept while
 * there is work, and given back at the end. No timers: an idle account costs nothing, its lease just runs out.
 */

import { Fenced, TemporaryError } from '../core/mail/errors.ts';
import type { AccountId } from '../core/mail/ids.ts';
import type { CommitResult, Lease, MailStore, Op } from '../core/ports/mail-store.ts';

const LEASE_MS = 30_000;
/** Renewed with the first write of its last third. */
const RENEW_MS = 10_000;
/** Accounts whose lease is remembered; the others' leases run out. */
const OWNED_MAX = 50_000;

export class AccountOwner {
  readonly #store: MailStore;
  readonly #owner: string;
  readonly #now: () => number;
  readonly #leases = new Map<AccountId, Promise<Lease>>();
  readonly #until = new Map<AccountId, number>();

  constructor(store: MailStore, owner: string, now: () => number) {
    this.#store = store;
    this.#owner = owner;
    this.#now = now;
  }

  /** Commits with this node's epoch. A lost lease is taken again once: a deposed owner's write changed nothing. */
  async commit(account: AccountId, ops: readonly Op[]): Promise<CommitResult> {
    const lease = await this.#lease(account);
    try {
      return await this.#store.commit(account, lease.epoch, ops);
    } catch (error) {
      if (!(error instanceof Fenced)) throw error;
      this.#leases.delete(account);
      return this.#store.commit(account, (await this.#lease(account)).epoch, ops);
    }
  }

  async releaseAll(): Promise<void> {
    const accounts = [...this.#leases.keys()];
    this.#leases.clear();
    this.#until.clear();
    await Promise.all(accounts.map((account) => this.#store.release(account, this.#owner)));
  }

  #lease(account: AccountId): Promise<Lease> {
    const held = this.#leases.get(account);
    if (held !== undefined && (this.#until.get(account) ?? 0) - this.#now() > RENEW_MS) return held;
    const taken = this.#take(account);
    this.#leases.delete(account);
    this.#leases.set(account, taken);
    // Until the answer is there, others wait for the same one.
    this.#until.set(account, this.#now() + LEASE_MS);
    if (this.#leases.size > OWNED_MAX) this.#forget(this.#leases.keys().next().value!);
    return taken;
  }

  async #take(account: AccountId): Promise<Lease> {
    try {
      const lease = await this.#store.lease(account, this.#owner, LEASE_MS);
      if (lease === undefined)
        throw new TemporaryError('storeUnavailable', { account, detail: 'held by another node' });
      this.#until.set(account, lease.until);
      return lease;
    } catch (error) {
      this.#forget(account);
      throw error;
    }
  }

  #forget(account: AccountId): void {
    this.#leases.delete(account);
    this.#until.delete(account);
  }
}
