/**
 * Locks of the cluster: one document each, taken by one atomic update whose times are the server's. A document of a lock
 * that ran out stays until it is taken again. Whether it may be taken stands in the update and not in its filter: MongoDB
 * refuses an upsert whose filter has `$expr`.
 */

import type { LockStore } from '../../core/ports/lock-store.ts';
import type { Mongo } from './mongo.ts';
import type { Collection } from './mongo-collection.ts';
import type { Expression, Identified } from './mongo-types.ts';

interface Lock extends Identified {
  readonly owner: string;
  /** Milliseconds since 1970 by the server's clock. */
  readonly until: number;
}

/** The server's time in milliseconds. */
const NOW: Expression = { $toLong: '$$NOW' };

export class ClusterLockStore implements LockStore {
  readonly #locks: Collection<Lock>;

  constructor(options: { readonly mongo: Mongo }) {
    this.#locks = options.mongo.collection<Lock>('locks');
  }

  async take(name: string, owner: string, ttlMs: number, gone = owner): Promise<boolean> {
    const owners = [owner, gone].map((one): Expression => ({ $eq: ['$owner', { $literal: one }] }));
    // One that nobody ever took has run out.
    const free: Expression = { $or: [...owners, { $lte: [{ $ifNull: ['$until', 0] }, NOW] }] };
    const claim = {
      owner: { $cond: [free, { $literal: owner }, '$owner'] },
      until: { $cond: [free, { $add: [NOW, ttlMs] }, '$until'] },
    };
    const lock = await this.#locks.findOneAndUpdate({ _id: name }, [{ $set: claim }], { upsert: true });
    return lock?.owner === owner;
  }

  async holder(name: string): Promise<{ readonly owner: string; readonly until: number } | undefined> {
    return this.#locks.findOne({ _id: name });
  }

  async release(name: string, owner: string): Promise<void> {
    await this.#locks.deleteOne({ _id: name, owner });
  }
}
