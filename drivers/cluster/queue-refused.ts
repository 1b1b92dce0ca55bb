/**
 * Refusals, kept for traces only: written in groups, and only the newest of a great many are kept, so that a flood of
 * refused mail fills no disk.
 */

import type { RefusedMessage } from '../../core/mail/accepted.ts';
import type { QueueId } from '../../core/mail/ids.ts';
import { Grouped } from './grouped.ts';
import type { Mongo } from './mongo.ts';
import type { Collection } from './mongo-collection.ts';
import type { Filter, Identified } from './mongo-types.ts';
import { messageIdKey } from './queue-document.ts';

interface RefusedDocument extends Identified {
  readonly _id: QueueId;
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly mid: string;
  readonly record: string;
}

/** Kept by the whole cluster. */
const KEPT_MAX = 1_000_000;
/** Looked after by each node when it has written so many. */
const TRIM_EVERY = 10_000;
const TRIM_AT_ONCE = 1_000;
const GROUP_MAX = 100;
/** Nobody waits for a refusal to be written: while the database is slow or away, those beyond it leave no trace. */
const WAITING_MAX = 5_000;

export class RefusedMessages {
  readonly #documents: Collection<RefusedDocument>;
  readonly #writes: Grouped<RefusedDocument, null>;
  #written = 0;

  constructor(mongo: Mongo) {
    this.#documents = mongo.collection<RefusedDocument>('queue-refused');
    this.#writes = new Grouped((documents) => this.#write(documents), {
      ...{ most: GROUP_MAX, flightsMax: 1, waitingMax: WAITING_MAX },
    });
  }

  async open(): Promise<void> {
    await this.#documents.createIndex({ at: 1 });
    await this.#documents.createIndex({ mid: 1 });
  }

  async add(message: RefusedMessage, at: number): Promise<void> {
    const { queueId, messageId } = message;
    await this.#writes.add({ _id: queueId, at, mid: messageIdKey(messageId), record: JSON.stringify(message) });
  }

  /** Newest first. */
  async before(cursor: string, limit: number): Promise<RefusedMessage[]> {
    return this.#find({ _id: { $lt: cursor as QueueId } }, limit);
  }

  async of(ids: readonly QueueId[]): Promise<ReadonlyMap<QueueId, RefusedMessage>> {
    const found = ids.length === 0 ? [] : await this.#find({ _id: { $in: ids } }, ids.length);
    return new Map(found.map((message) => [message.queueId, message]));
  }

  async withMessageId(messageId: string, limit: number): Promise<RefusedMessage[]> {
    return this.#find({ mid: messageIdKey(messageId) }, limit);
  }

  async forget(olderThan: number, limit: number): Promise<number> {
    if (limit === 0) return 0;
    const filter = { at: { $lt: olderThan } };
    const old = await this.#documents.find({ filter, sort: { at: 1 }, limit, fields: ['at'] });
    return old.length === 0 ? 0 : this.#documents.deleteMany({ _id: { $in: old.map(({ _id }) => _id) } });
  }

  /** Every one, newest first. */
  async *pages(): AsyncGenerator<RefusedMessage[]> {
    for (let cursor = '~'; ; ) {
      const page = await this.before(cursor, GROUP_MAX);
      if (page.length > 0) yield page;
      if (page.length < GROUP_MAX) return;
      cursor = page.at(-1)!.queueId;
    }
  }

  async #find(filter: Filter<RefusedDocument>, limit: number): Promise<RefusedMessage[]> {
    const found = await this.#documents.find({ filter, sort: { _id: -1 }, limit });
    return found.map(({ record }) => JSON.parse(record) as RefusedMessage);
  }

  /** A later refusal within one transaction takes the place of an earlier one. */
  async #write(documents: readonly RefusedDocument[]): Promise<null[]> {
    const there = await this.#documents.insertMany([...new Map(documents.map((one) => [one._id, one])).values()]);
    for (const { _id, ...rest } of documents)
      if (there.has(_id)) await this.#documents.updateOne({ _id }, { $set: rest });
    this.#written += documents.length;
    if (this.#written >= TRIM_EVERY) {
      this.#written = 0;
      await this.#trim();
    }
    return documents.map(() => null);
  }

  async #trim(): Promise<void> {
    const [counted] = await this.#documents.group<{ _id: null; count: number }>({
      filter: {},
      by: null,
      sums: { count: 1 },
    });
    for (let excess = (counted?.count ?? 0) - KEPT_MAX; excess > 0; ) {
      const forgotten = await this.forget(Number.MAX_SAFE_INTEGER, Math.min(excess, TRIM_AT_ONCE));
      if (forgotten === 0) return;
      excess -= forgotten;
    }
  }
}
