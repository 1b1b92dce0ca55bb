/**
 * Work that one node does for all: whoever holds its lock. The one that has it keeps it by asking again, the others ask
 * now and then; when it is gone, another one has it within a little more than LOCK_MS. Alone by design, it is always ours.
 */

import type { LockStore } from '../core/ports/lock-store.ts';
import type { Mesh } from './mesh.ts';

const LOCK_MS = 30_000;
/** The holder asks again when it has less left; the others after as long. */
const RENEW_MS = 10_000;

export class Leader {
  readonly #name: string;
  readonly #locks: LockStore;
  readonly #mesh: Mesh;
  #leads = false;
  #askedAt = Number.NEGATIVE_INFINITY;

  constructor(name: string, locks: LockStore, mesh: Mesh) {
    this.#name = name;
    this.#locks = locks;
    this.#mesh = mesh;
  }

  /** Whether this node is to do the work now. Rejects when the store can't be asked; then nobody is known to be. */
  async leads(): Promise<boolean> {
    if (!this.#mesh.isShared) return true;
    const now = performance.now();
    if (now - this.#askedAt < RENEW_MS) return this.#leads;
    this.#leads = false;
    this.#askedAt = now;
    this.#leads = await this.#locks.take(this.#name, this.#mesh.self, LOCK_MS);
    return this.#leads;
  }

  async resign(): Promise<void> {
    if (!this.#leads || !this.#mesh.isShared) return;
    this.#leads = false;
    await this.#locks.release(this.#name, this.#mesh.self);
  }
}

/**
 * Runs long work under a lock that is renewed meanwhile.
 * @returns undefined, and the work is not begun, when another has the lock
 */
export async function exclusively<T>(
  name: string,
  locks: LockStore,
  owner: string,
  work: () => Promise<T>,
): Promise<T | undefined> {
  if (!(await locks.take(name, owner, LOCK_MS))) return undefined;
  // A renewal that fails lets the lock run out: the work bears a second one.
  const timer = setInterval(() => void locks.take(name, owner, LOCK_MS).catch(() => false), RENEW_MS).unref();
  try {
    return await work();
  } finally {
    clearInterval(timer);
    await locks.release(name, owner);
  }
}
