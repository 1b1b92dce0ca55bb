/**
 * One collection, as the cluster stores use it. A write has resolved when a majority has it in its journal; every
 * operation ends within its deadline; a failure is a TemporaryError after which the write may or may not have happened.
 * Keys that are there already are told as values.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import type { AnyBulkWriteOperation, Document, Collection as DriverCollection } from 'mongodb';
import { TemporaryError } from '../../core/mail/errors.ts';
import { duplicatesOf, isBrokenConnection, isDuplicateKey, storeError } from './mongo-errors.ts';
import type {
  BulkOperation,
  BulkResult,
  Filter,
  Grouping,
  Identified,
  Index,
  Query,
  Shard,
  Sort,
  Update,
  Updated,
  UpsertFilter,
} from './mongo-types.ts';

/** Documents sent by one insert: enough to be fast, and at most 26 MB of inline blobs. */
const BATCH = 100;
/** More than a search for a server and one attempt take. */
const DEADLINE_MS = 8000;

/** Of an operation whose connection breaks, and the pause behind the first. */
const ATTEMPTS = 4;
const PAUSE_MS = 10;

/** Fields that are undefined are left out, as if they had not been there. */
const INSERT = { ignoreUndefined: true };

type Raw = DriverCollection<Document & { _id: string }>;

/** An operation of the client with a deadline. @throws MailError */
export async function within<T>(operation: () => Promise<T>, deadlineMs = DEADLINE_MS): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new TemporaryError('storeUnavailable', { detail: `no answer from MongoDB within ${deadlineMs} ms` }));
    }, deadlineMs);
  });
  try {
    return await Promise.race([operation(), late]);
  } catch (error) {
    throw storeError(error);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * One that may be done more than once, and is where its connection broke. Others of the pool may have broken with it; the
 * client needs a moment to see that.
 */
const request = <T>(operation: () => Promise<T>, deadlineMs?: number): Promise<T> =>
  within(async () => {
    for (let attempt = 1; ; attempt++) {
      try {
        return await operation();
      } catch (error) {
        if (attempt === ATTEMPTS || !isBrokenConnection(error)) throw error;
      }
      await sleep(attempt * PAUSE_MS);
    }
  }, deadlineMs);

export class Collection<T extends Identified> {
  readonly #open: () => Raw;
  readonly #isSharded: () => boolean;
  #raw: Raw | undefined;

  /**
   * @param open gives the client's collection; called at the first use
   * @param isSharded whether the server is a router to several shards
   */
  constructor(open: () => Raw, isSharded: () => boolean = () => false) {
    this.#open = open;
    this.#isSharded = isSharded;
  }

  /** False where a document with its _id (or another unique key of it) is there already. */
  async insertOne(document: T): Promise<boolean> {
    try {
      await request(() => this.#collection().insertOne(document as never, INSERT));
      return true;
    } catch (error) {
      if (isDuplicateKey((error as Error).cause)) return false;
      throw error;
    }
  }

  /** Inserts all it can. @returns the _ids of those that were not inserted, because a key of theirs is there already */
  async insertMany(documents: readonly T[]): Promise<ReadonlySet<T['_id']>> {
    const duplicates = new Set<T['_id']>();
    for (let at = 0; at < documents.length; at += BATCH) {
      const batch = documents.slice(at, at + BATCH);
      const found = await request(() =>
        this.#collection()
          .insertMany(batch as never[], { ...INSERT, ordered: false })
          .then(() => [] as number[], duplicatesOf),
      );
      for (const index of found) duplicates.add(batch[index]!._id);
    }
    return duplicates;
  }

  async findOne<F extends keyof T = keyof T>(
    filter: Filter<T>,
    options: { readonly fields?: readonly F[]; readonly sort?: Sort<T> } = {},
  ): Promise<Pick<T, F | '_id'> | undefined> {
    return (await this.find({ ...options, filter, limit: 1 }))[0];
  }

  /** All that match (bound it by `limit`). Go through many by `{ _id: { $gt: last } }`, sorted by _id. */
  find<F extends keyof T = keyof T>(query: Query<T, F>, deadlineMs?: number): Promise<Pick<T, F | '_id'>[]> {
    const { filter, sort, limit, fields, shard } = query;
    return request(async () => {
      const at = this.#at(filter, shard);
      const cursor = this.#collection().find(at.filter, {
        ...at.options,
        ...(sort === undefined ? {} : { sort: sort as Record<string, 1 | -1> }),
        ...(limit === undefined ? {} : { limit, batchSize: Math.max(1, limit) }),
        ...(fields === undefined
          ? {}
          : { projection: Object.fromEntries(['_id', ...fields].map((field) => [field, 1])) }),
      });
      return (await cursor.toArray()) as unknown as Pick<T, F | '_id'>[];
    }, deadlineMs);
  }

  updateOne(filter: Filter<T>, update: Update<T>): Promise<Updated>;
  updateOne(filter: UpsertFilter<T>, update: Update<T>, options: { readonly upsert: boolean }): Promise<Updated>;
  updateOne(filter: Filter<T>, update: Update<T>, options: { readonly upsert?: boolean } = {}): Promise<Updated> {
    return this.#update(() => this.#collection().updateOne(filter as Document, update as Document, options));
  }

  updateMany(filter: Filter<T>, update: Update<T>, deadlineMs?: number): Promise<Updated> {
    return this.#update(() => this.#collection().updateMany(filter as Document, update as Document), deadlineMs);
  }

  /** The document after the change; undefined where none matched, or the change met a key that is there already. */
  findOneAndUpdate(filter: Filter<T>, update: Update<T>): Promise<T | undefined>;
  findOneAndUpdate(
    filter: UpsertFilter<T>,
    update: Update<T>,
    options: { readonly upsert: boolean },
  ): Promise<T | undefined>;
  async findOneAndUpdate(
    filter: Filter<T>,
    update: Update<T>,
    options: { readonly upsert?: boolean } = {},
  ): Promise<T | undefined> {
    try {
      const after = await request(() =>
        this.#collection().findOneAndUpdate(filter as Document, update as Document, {
          ...options,
          returnDocument: 'after',
        }),
      );
      return (after ?? undefined) as T | undefined;
    } catch (error) {
      if (isDuplicateKey((error as Error).cause)) return undefined;
      throw error;
    }
  }

  /** @returns whether there was one */
  async deleteOne(filter: Filter<T>): Promise<boolean> {
    return (await request(() => this.#collection().deleteOne(filter as Document))).deletedCount > 0;
  }

  /** @returns how many there were */
  async deleteMany(filter: Filter<T>, deadlineMs?: number): Promise<number> {
    return (await request(() => this.#collection().deleteMany(filter as Document), deadlineMs)).deletedCount;
  }

  /** All operations, in no order, each atomic by itself. */
  bulk(operations: readonly BulkOperation<T>[]): Promise<BulkResult> {
    if (operations.length === 0)
      return Promise.resolve({ inserted: 0, matched: 0, modified: 0, upserted: 0, deleted: 0, duplicates: [] });
    return request(async () => {
      let duplicates: number[] = [];
      const result = await this.#collection()
        .bulkWrite(operations as unknown as AnyBulkWriteOperation<Document & { _id: string }>[], { ordered: false })
        .catch((error) => {
          duplicates = duplicatesOf(error);
          return (error as { result: Record<string, number> }).result;
        });
      return {
        inserted: result.insertedCount ?? 0,
        matched: result.matchedCount ?? 0,
        modified: result.modifiedCount ?? 0,
        upserted: result.upsertedCount ?? 0,
        deleted: result.deletedCount ?? 0,
        duplicates,
      };
    });
  }

  /** Sums over all that match; an empty list where nothing does. `_id` is the value of `by`. */
  group<R extends { readonly _id: unknown }>(grouping: Grouping<T>, deadlineMs?: number): Promise<R[]> {
    const { by, sums, least = {}, sort, limit } = grouping;
    const { filter, options } = this.#at(grouping.filter, grouping.shard);
    const fields = [
      ...Object.entries(sums).map(([name, sum]) => [name, { $sum: sum }]),
      ...Object.entries(least).map(([name, value]) => [name, { $min: value }]),
    ];
    const pipeline: Document[] = [{ $match: filter }, { $group: { _id: by, ...Object.fromEntries(fields) } }];
    if (sort !== undefined) pipeline.push({ $sort: sort });
    if (limit !== undefined) pipeline.push({ $limit: limit });
    return request(
      () => this.#collection().aggregate(pipeline, options).toArray() as Promise<unknown> as Promise<R[]>,
      deadlineMs,
    );
  }

  /** Makes an index that is not there yet; safe to be asked for by many nodes at once. */
  async createIndex(fields: Index<T>, options: { readonly unique?: boolean } = {}): Promise<void> {
    await request(() => this.#collection().createIndex(fields as Record<string, 1 | -1>, options), 60_000);
  }

  async #update(
    operation: () => Promise<{ matchedCount: number; modifiedCount: number; upsertedCount: number }>,
    deadlineMs?: number,
  ): Promise<Updated> {
    try {
      const { matchedCount, modifiedCount, upsertedCount } = await request(operation, deadlineMs);
      return { matched: matchedCount, modified: modifiedCount, upserted: upsertedCount > 0, duplicate: false };
    } catch (error) {
      if (!isDuplicateKey((error as Error).cause)) throw error;
      return { matched: 0, modified: 0, upserted: false, duplicate: true };
    }
  }

  #at(filter: Filter<T>, shard: Shard<T> | undefined): { filter: Document; options: { hint?: Document } } {
    if (shard === undefined || !this.#isSharded()) return { filter: filter as Document, options: {} };
    return { filter: { ...filter, _id: shard.ids } as Document, options: { hint: shard.index as Document } };
  }

  #collection(): Raw {
    this.#raw ??= this.#open();
    return this.#raw;
  }
}
