/**
 * What the mail store asks of large collections about one account can be answered by one shard, in few requests, and upkeep
 * does not look through a mailbox again and again.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { modSeq } from '../../core/mail/ids.ts';
import { ClusterMailStore } from '../../drivers/cluster/mail-store.ts';
import type { Mongo } from '../../drivers/cluster/mongo.ts';
import { Collection } from '../../drivers/cluster/mongo-collection.ts';
import type { Shard } from '../../drivers/cluster/mongo-types.ts';
import { append, DAY, INBOX, START, TestAccount } from '../contract/mail-store-fixtures.ts';
import { MemoryMongo } from '../support/memory-mongo.ts';

interface Asked {
  readonly collection: string;
  readonly method: string;
  readonly query: { readonly filter: Record<string, unknown>; readonly shard?: Shard<never> };
}

function recorded(): { mongo: Mongo; asked: Asked[]; indexes: string[] } {
  const mongo = MemoryMongo.create();
  const asked: Asked[] = [];
  const indexes: string[] = [];
  const table = (collection: string): object =>
    new Proxy(mongo.collection(collection), {
      get: (target, method) => {
        const value = Reflect.get(target, method, target);
        if (typeof value !== 'function') return value;
        return (...args: unknown[]) => {
          if (method === 'createIndex') indexes.push(`${collection} ${JSON.stringify(args[0])}`);
          if (method === 'find' || method === 'group')
            asked.push({ collection, method, query: args[0] as Asked['query'] });
          return value.apply(target, args);
        };
      },
    });
  const watched = new Proxy(mongo, {
    get: (target, name) => (name === 'collection' ? table : Reflect.get(target, name, target)),
  });
  return { mongo: watched, asked, indexes };
}

const MINUTE = 60_000;
const expungeAll = { t: 'expunge', mailbox: INBOX, uids: null, onlyDeleted: false } as const;

async function opened(mongo: Mongo, clock: { now: number }, tombstonesKept: number) {
  const store = new ClusterMailStore({ mongo, now: () => clock.now, tombstonesKept });
  await store.open();
  return { store, account: await TestAccount.create(store) };
}

test('questions about one account name _ids, or where it all lies and an index that is there', async () => {
  const { mongo, asked, indexes } = recorded();
  const { store, account } = await opened(mongo, { now: START }, 2);
  const { content } = await account.do(append());
  await account.fill(5);
  await account.do({
    t: 'append',
    mailbox: INBOX,
    content: { ref: content },
    flags: [],
    internalDate: 1,
    quota: 'ignore',
  });
  await account.do(expungeAll);
  for (const mailbox of [INBOX, null]) await store.changes(account.id, mailbox, modSeq(0));
  await store.columns(account.id, INBOX);
  await store.findByMessageId(account.id, '<1@example.org>');
  while (await store.gc(START + 40 * DAY, 1000));
  const large = asked.filter(
    ({ collection, query: { filter } }) =>
      collection === 'messages' || (collection === 'contents' && !('blobs' in filter)),
  );
  assert.ok(large.length > 5);
  const shards = new Set<string>();
  for (const { collection, query } of large) {
    if ('_id' in query.filter) continue;
    assert.ok(query.shard !== undefined, `every shard is asked: ${collection} ${JSON.stringify(query)}`);
    shards.add(`${collection} ${JSON.stringify(query.shard.index)}`);
    assert.match(query.shard.ids.$gte, new RegExp(`^${account.id}`));
  }
  assert.equal(shards.size, 3);
  for (const index of shards) assert.ok(indexes.includes(index), index);
});

test('where it all lies is told to a router to shards, and to no other server', async () => {
  const told: object[] = [];
  const raw = {
    find: (filter: object, options: object) => {
      told.push({ ...filter, ...options });
      return { toArray: async () => [] };
    },
    aggregate: ([{ $match }]: [{ $match: object }], options: object) => {
      told.push({ ...$match, ...options });
      return { toArray: async () => [] };
    },
  };
  const shard = { ids: { $gte: 'a.', $lt: 'a/' }, index: { n: 1 } } as const;
  for (const isSharded of [false, true]) {
    const things = new Collection<{ _id: string; n: number }>(
      () => raw as never,
      () => isSharded,
    );
    await things.find({ filter: { n: 1 }, shard });
    await things.group({ filter: { n: 1 }, shard, by: null, sums: { count: 1 } });
    await things.find({ filter: { n: 1 } });
  }
  const plain = { n: 1 };
  const one = { n: 1, _id: shard.ids, hint: shard.index };
  assert.deepEqual(told, [plain, plain, plain, one, one, plain]);
});

test('a mailbox that has buried many is looked through once in a while, however often it changes', async () => {
  const { mongo, asked } = recorded();
  const clock = { now: START };
  const { store, account } = await opened(mongo, clock, 2);
  await account.fill(5);
  await account.do(expungeAll);
  const looks = (): number =>
    asked.filter(({ method, collection }) => method === 'group' && collection === 'messages').length;
  for (let round = 0; round < 100; round++) {
    await account.do(append());
    await account.do(expungeAll);
    clock.now += MINUTE;
    while (await store.gc(clock.now, 1000));
  }
  assert.ok(looks() <= 1, `${looks()} times in 100 minutes`);
  clock.now += 40 * DAY;
  while (await store.gc(clock.now, 1000));
  const tombstones = await mongo
    .collection<{ _id: string; content: number }>('messages')
    .find({ filter: { content: 0 } });
  assert.equal(tombstones.length, 2);
});

test('messages that lie close together are read and changed together, however many are named', async () => {
  const { mongo, asked } = recorded();
  const { store, account } = await opened(mongo, { now: START }, 100_000);
  const MANY = 9_000;
  for (let made = 0; made < MANY; made += 1_000) await account.fill(1_000);
  const named = Uint32Array.from({ length: MANY }, (_, i) => i + 1);
  const requests = async (uids: Uint32Array): Promise<number> => {
    const before = asked.length;
    await account.do({ t: 'store', mailbox: INBOX, uids, mode: 'add', flags: ['\\Seen'] });
    assert.equal((await store.rows(account.id, INBOX, uids)).length, uids.length);
    return asked.slice(before).filter(({ collection }) => collection === 'messages').length;
  };
  assert.ok((await requests(named)) <= 6);
  // Far apart they are named, so many at a time.
  assert.ok((await requests(named.filter((uid) => uid % 4 === 0))) <= 10);
});
