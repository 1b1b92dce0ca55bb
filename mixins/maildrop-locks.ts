/**
 * One POP3 session per maildrop (RFC 1939 §4), over all nodes. A lock is renewed while its session lasts, by one timer
 * for all that are held here; those of a node that is gone are taken from it.
 */

import type { AccountId } from '../core/mail/ids.ts';
import type { LockStore } from '../core/ports/lock-store.ts';
import type { Mesh } from './mesh.ts';

const LOCK_MS = 60_000;
const RENEW_MS = 20_000;

export class MaildropLocks {
  readonly #locks: LockStore;
  readonly #mesh: Pick<Mesh, 'self' | 'isConnected' | 'lives'>;
  readonly #failed: (error: unknown) => void;
  readonly #held = new Set<AccountId>();
  #timer: NodeJS.Timeout | undefined;

  constructor(locks: LockStore, mesh: Pick<Mesh, 'self' | 'isConnected' | 'lives'>, failed: (error: unknown) => void) {
    this.#locks = locks;
    this.#mesh = mesh;
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

  async #take(account: AccountId): Promise<boolean> {
    const name = `maildrop/${account}`;
    const { self } = this.#mesh;
    if (await this.#locks.take(name, self, LOCK_MS)) return true;
    const holder = await this.#locks.holder(name);
    // While no other node can be seen, none is known to be gone.
    if (holder === undefined || !this.#mesh.isConnected || this.#mesh.lives(holder.owner)) return false;
    return this.#locks.take(name, self, LOCK_MS, holder.owner);
  }

  #release(account: AccountId): void {
    if (!this.#held.delete(account)) return;
    if (this.#held.size === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
    }
    this.#locks.release(`maildrop/${account}`, this.#mesh.self).catch(this.#failed);
  }

  #renew(): void {
    for (const account of this.#held) this.#take(account).catch(this.#failed);
  }
}
