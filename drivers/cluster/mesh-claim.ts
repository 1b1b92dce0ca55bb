/**
 * Keeps two meshes from one database: nodes that meet at different NATS servers do not see each other and would fight for
 * every account. Which NATS it is, is told by when the stream was made; a lock of the database that all nodes of a mesh own
 * in common holds that. A node that starts elsewhere waits for as long as nobody renews it, which is all that a wiped or
 * replaced NATS costs, and is refused when somebody does. One that runs goes on, whatever it finds, and tells of it.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import type { Facts } from '../../core/mail/errors.ts';
import type { ClusterLockStore } from './lock-store.ts';
import { NatsUnusable } from './nats.ts';

const TTL_MS = 10_000;
const LOOK_MS = 500;

interface MeshClaimOptions {
  readonly locks: Pick<ClusterLockStore, 'take' | 'holder'>;
  readonly name: string;
  /** The server's time. */
  readonly now: () => number;
  /** Of the NATS server, without credentials. */
  readonly place: string;
  /** Asks NATS which one it is; null where it cannot be asked. */
  readonly identity: () => Promise<string | null>;
  /** Names of the other nodes of this database. */
  readonly others: () => Promise<readonly string[]>;
  readonly report: (event: string, facts: Facts) => void;
}

export class MeshClaim {
  readonly #options: MeshClaimOptions;
  /** This node's own, as NATS said last. */
  #id: string | null = null;
  /** Since when another mesh has it, as far as this node knows. */
  #othersSince: number | undefined;
  #trouble: string | null = null;
  #renewing: Promise<void> | undefined;
  #closed = false;

  constructor(options: MeshClaimOptions) {
    this.#options = options;
  }

  /** One line for the operator, or null. */
  get trouble(): string | null {
    return this.#trouble;
  }

  /** Resolves when this node may work. @throws NatsUnusable where other nodes of this database meet at another NATS */
  async join(): Promise<void> {
    const { locks, name, identity } = this.#options;
    for (let first: { owner: string; until: number } | undefined; ; ) {
      const id = await identity();
      this.#id = id;
      // Without NATS there is nothing to compare, and the node works as any does whose NATS is away.
      if (id === null || (await locks.take(name, id, TTL_MS))) return;
      const holder = await locks.holder(name);
      if (holder === undefined || holder.owner === id) continue;
      if (first?.owner !== holder.owner) first = holder;
      if (holder.until > first.until) throw new NatsUnusable(await this.#line(id, holder.owner));
      await sleep(LOOK_MS);
    }
  }

  /** To be called every few seconds. Never rejects; it may take as long as NATS does to answer. */
  renew(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    this.#renewing ??= this.#renew()
      // The database is away; the next one may find it.
      .catch(() => undefined)
      .finally(() => {
        this.#renewing = undefined;
      });
    return this.#renewing;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#renewing;
  }

  async #renew(): Promise<void> {
    const { locks, name, now, identity, report } = this.#options;
    const holder = await locks.holder(name);
    const isOurs = holder !== undefined && holder.owner === this.#id;
    // One node renews it for all.
    if (isOurs && holder.until - now() > TTL_MS / 2) return this.#atOne();
    // Asked just before: nothing may be kept for a NATS that is no more.
    this.#id = await identity();
    if (this.#id === null) return;
    if (await locks.take(name, this.#id, TTL_MS)) return this.#atOne();
    this.#othersSince ??= now();
    // It may be what a NATS that was wiped has left behind.
    if (this.#trouble !== null || now() - this.#othersSince < 2 * TTL_MS) return;
    this.#trouble = await this.#line(this.#id, holder?.owner ?? '');
    report('mesh.split', { detail: this.#trouble });
  }

  #atOne(): void {
    this.#othersSince = undefined;
    this.#trouble = null;
  }

  async #line(id: string, other: string): Promise<string> {
    const { place, others } = this.#options;
    const nodes = (await others()).join(', ');
    return (
      `this node meets others at NATS at ${place} (stream made ${id}), but ${nodes === '' ? 'nodes' : nodes} of the same ` +
      `database at another (stream made ${other}): give all nodes one MAILMESH_NATS_URL, or stop the others first`
    );
  }
}
