/**
 * One POP3 session per maildrop (RFC 1939 §4), over all nodes. A lock is renewed while its session lasts, by one timer
 * for all that are held here; those of a node that is gone run out.
 */

import type { AccountId } from '../core/mail/ids.ts';
import type { LockStore } from '../core/ports/lock-store.ts';

const LOCK_MS = 60_000;
const RENEW_MS = 20_000;

export class MaildropLocks {
  readonly #locks: LockStore;
  readonly #self: string;
  readonly #failed: (error: unknown) => void;
  readonly #held = new Set<AccountId>();
  #timer: NodeJS.Timeout | undefined;

  /** @param self names this process among those that share the locks */
  constructor(locks: LockStore, self: string, failed: (error: unknown) => void) {
    this.#locks = locks;
    this.#self = self;
    this.#failed = failed;
  }

  async acquire(account: AccountId): Promise<(() => void) | null> {
    // Another session of this process: the store can't tell the two apart.
    if (this.#held.has(account)) return null;
    this.#held.add(account);
    try {
      if (!(await this.#take(account))) {
        this.#held.delete(account);
        return null;
      }
    } catch (error) {
      this.#held.delete(account);
      throw error;
    }
    this.#timer ??= setInterval(() => this.#renew(), RENEW_MS).unref();
    return () => this.#release(account);
  }

  #take(account: AccountId): Promise<boolean> {
    return this.#locks.take(`maildrop/${account}`, this.#self, LOCK_MS);
  }

  #release(account: AccountId): void {
    if (!this.#held.delete(account)) return;
    if (this.#held.size === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
    }
    this.#locks.release(`maildrop/${account}`, this.#self).catch(this.#failed);
  }

  #renew(): void {
    for (const account of this.#held) this.#take(account).catch(this.#failed);
  }
}
