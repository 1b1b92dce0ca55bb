/**
 * Locks of the embedded mode live in memory: one process has the data folder, and its end is the end of all of them.
 */

import type { LockStore } from '../../core/ports/lock-store.ts';

interface Lock {
  readonly owner: string;
  readonly until: number;
}

export class EmbeddedLockStore implements LockStore {
  readonly #locks = new Map<string, Lock>();
  readonly #now: () => number;

  constructor(options: { readonly now: () => number }) {
    this.#now = options.now;
  }

  async take(name: string, owner: string, ttlMs: number, gone = owner): Promise<boolean> {
    const now = this.#now();
    const held = this.#locks.get(name);
    if (held !== undefined && held.owner !== owner && held.owner !== gone && held.until > now) return false;
    this.#locks.set(name, { owner, until: now + ttlMs });
    return true;
  }

  async holder(name: string): Promise<{ readonly owner: string } | undefined> {
    return this.#locks.get(name);
  }

  async release(name: string, owner: string): Promise<void> {
    if (this.#locks.get(name)?.owner === owner) this.#locks.delete(name);
  }
}
