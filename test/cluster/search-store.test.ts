/** The cluster's search store keeps the port's promises while segments are merged, replaced and read by several nodes. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TemporaryError } from '../../core/mail/errors.ts';
import { accountId, contentId, modSeq } from '../../core/mail/ids.ts';
import type { SearchDocument } from '../../core/ports/search-store.ts';
import type { Manifest } from '../../drivers/cluster/search-manifest.ts';
import { ClusterSearchStore } from '../../drivers/cluster/search-store.ts';
import { searchStoreContract } from '../contract/search-store.contract.ts';
import { type ClusterServer, mongoServer } from '../support/cluster-servers.ts';
import { Database, interposed, missing, sharedServer } from './cluster-fixture.ts';

const ALICE = accountId('aaaaaaaaaaaaaaaa');

function rethrow(error: unknown): never {
  throw error;
}

if (missing === false)
  searchStoreContract('cluster', async () => {
    const database = await Database.create(await sharedServer());
    const start = async () => {
      const store = new ClusterSearchStore({ mongo: await database.connect(), failed: rethrow });
      await store.open();
      return store;
    };
    let store = await start();
    return {
      store,
      reopen: async () => {
        await store.close();
        store = await start();
        return store;
      },
      dispose: async () => {
        await store.close();
        await database.dispose();
      },
    };
  });

interface World {
  readonly database: Database;
  node(): Promise<ClusterSearchStore>;
}

async function withNodes(server: ClusterServer, work: (world: World) => Promise<void>): Promise<void> {
  const database = await Database.create(server);
  const opened: ClusterSearchStore[] = [];
  const failures: unknown[] = [];
  try {
    await work({
      database,
      node: async () => {
        const store = new ClusterSearchStore({
          mongo: await database.connect(),
          failed: (error) => failures.push(error),
        });
        await store.open();
        opened.push(store);
        return store;
      },
    });
    assert.deepEqual(
      failures.filter((error) => !(error instanceof TemporaryError)),
      [],
    );
  } finally {
    for (const store of opened) await store.close();
    await database.dispose();
  }
}

const it = (goal: string, work: (world: World) => Promise<void>) =>
  void test(`cluster search store: ${goal}`, { skip: missing }, async () => withNodes(await sharedServer(), work));

/** Each says its own number, whether it is odd, and much that all say. */
const document = (content: number, more = ''): SearchDocument => ({
  account: ALICE,
  content: contentId(content),
  header: `subject: message number ${content}.\r\n`,
  body: `this is number<${content}> and it is ${content % 2 === 0 ? 'even' : 'odd'}${more} ${filling(content)}`,
  truncated: false,
});
const filling = (content: number): string =>
  Array.from({ length: 60 }, (_, i) => ((content * 7919 + i * 104_729) % 999_983).toString(36)).join(' ');

async function contentsOf(store: ClusterSearchStore, needle: string): Promise<number[]> {
  const found = await store.candidates(ALICE, 'body', [needle]);
  assert.notEqual(found, null);
  return [...found!.contents].sort((a, b) => a - b);
}

const segmentsOf = async (database: Database): Promise<number> => {
  const manifests = (await database.connect()).collection<Manifest>('searchManifests');
  return (await manifests.findOne({ _id: ALICE }))!.segments.length;
};

const numbers = (from: number, to: number, step = 1): number[] =>
  Array.from({ length: Math.floor((to - from) / step) + 1 }, (_, i) => from + i * step);

it('many small batches are merged, and everything is found at every moment', async ({ database, node }) => {
  const [writer, reader] = [await node(), await node()];
  for (let i = 1; i <= 60; i++) {
    await writer.index([document(i * 2 - 1), document(i * 2)], [{ account: ALICE, mark: modSeq(i) }]);
    const { mark, contents } = (await reader.candidates(ALICE, 'body', ['even']))!;
    for (const content of numbers(2, mark * 2, 2)) assert(contents.has(contentId(content)), `${content} at ${mark}`);
    assert.deepEqual(await contentsOf(reader, `number<${i}>`), [i]);
  }
  await writer.idle();
  assert((await segmentsOf(database)) <= 12, `${await segmentsOf(database)} segments`);
  assert.deepEqual(await contentsOf(reader, 'odd'), numbers(1, 119, 2));
  assert.equal((await reader.stats()).documents, 120);
  const buckets = (await database.connect()).collection<{ _id: string }>('searchBuckets');
  const [manifest] = await (await database.connect()).collection<Manifest>('searchManifests').find({ filter: {} });
  const named = new Set([...manifest!.segments, ...manifest!.pending].map(({ id }) => id));
  for (const id of manifest!.dropped) named.add(id);
  for (const { _id } of await buckets.find({ filter: {} })) assert(named.has(_id.split('.')[1]!), `${_id} is nobody's`);
});

it('a search whose segments are merged and deleted under it finds everything', async ({ database, node }) => {
  const a = await node();
  for (const content of [1, 2, 3]) await a.index([document(content)], []);
  const merge = async () => {
    await a.index([document(4)], []);
    await a.idle();
  };
  const mongo = interposed(await database.connect(), 'searchBuckets', 'find', merge);
  const b = new ClusterSearchStore({ mongo, failed: rethrow });
  assert.deepEqual(await contentsOf(b, 'and it is'), [1, 2, 3, 4]);
  assert.equal(await segmentsOf(database), 1);
});

it('two nodes index, replace and remove at once', async ({ node }) => {
  const [a, b] = [await node(), await node()];
  await a.index(
    numbers(1, 100).map((content) => document(content)),
    [],
  );
  await Promise.all([
    (async () => {
      for (const from of numbers(101, 181, 20))
        await a.index(
          numbers(from, from + 19).map((content) => document(content)),
          [{ account: ALICE, mark: modSeq(from) }],
        );
    })(),
    (async () => {
      for (const content of numbers(1, 40)) await b.index([document(content, ' replaced')], []);
    })(),
    b.remove(ALICE, numbers(51, 60).map(contentId)),
  ]);
  assert.deepEqual(await contentsOf(b, 'replaced'), numbers(1, 40));
  assert.deepEqual(await contentsOf(a, 'and it is'), [...numbers(1, 50), ...numbers(61, 200)]);
  assert.equal((await a.stats()).documents, 190);
  assert.equal(await b.mark(ALICE), 181);
});

it('the same documents indexed by two nodes count once', async ({ node }) => {
  const [a, b] = [await node(), await node()];
  const documents = numbers(1, 50).map((content) => document(content));
  await Promise.all([a.index(documents, []), b.index(documents, [])]);
  assert.equal((await a.stats()).documents, 50);
  await a.remove(ALICE, [contentId(7)]);
  assert.deepEqual(await contentsOf(b, 'number<7>'), []);
});

it('an account removed while it is indexed comes back with nothing under its mark', async ({ node }) => {
  const [a, b] = [await node(), await node()];
  for (let round = 1; round <= 8; round++) {
    const results = await Promise.allSettled([
      a.index(
        numbers(1, 30).map((content) => document(content)),
        [{ account: ALICE, mark: modSeq(round) }],
      ),
      b.removeAccount(ALICE),
    ]);
    for (const result of results)
      assert(result.status === 'fulfilled' || result.reason instanceof TemporaryError, String(result));
    const found = (await b.candidates(ALICE, 'body', ['and it is']))!;
    assert.equal(found.contents.size, found.mark === 0 ? 0 : 30);
  }
  await b.removeAccount(ALICE);
  assert.equal((await b.stats()).documents, 0);
});

it('a segment whose writer is gone is cleared away', async ({ database, node }) => {
  const a = await node();
  await a.index([document(1)], []);
  const mongo = await database.connect();
  const manifests = mongo.collection<Manifest>('searchManifests');
  const buckets = mongo.collection<{ _id: string; data: Uint8Array }>('searchBuckets');
  await manifests.updateOne({ _id: ALICE }, { $set: { pending: [{ id: 'gone', at: Date.now() - 7_200_000 }] } });
  await buckets.insertOne({ _id: `${ALICE}.gone.00000`, data: new Uint8Array(3) });
  await a.index([document(2)], []);
  await a.idle();
  assert.equal(await buckets.findOne({ _id: `${ALICE}.gone.00000` }), undefined);
  const { pending, dropped } = (await manifests.findOne({ _id: ALICE }))!;
  assert.deepEqual([pending, dropped], [[], []]);
  assert.deepEqual(await contentsOf(a, 'and it is'), [1, 2]);
});

it('contents far apart, in any order, and long texts', async ({ node }) => {
  const a = await node();
  const contents = [2 ** 52, 5, 2 ** 40, 1, 2 ** 31, 2 ** 53 - 1];
  for (const content of contents) await a.index([document(content)], []);
  const long = Array.from({ length: 100_000 }, (_, i) => `w${i * 31}`).join(' ');
  await a.index([{ ...document(9), body: `${long} and it is` }], []);
  await a.close();
  assert.deepEqual(
    await contentsOf(a, 'and it is'),
    [...contents, 9].sort((x, y) => x - y),
  );
  assert.deepEqual(await contentsOf(a, `w${99_999 * 31}`), [9]);
});

test('cluster search store: through the end of the server nothing under a mark is missed', {
  skip: missing === false && (process.env.MONGO_URL ?? '') !== '' ? 'MONGO_URL is not ours to kill' : missing,
}, async () => {
  const own = await mongoServer();
  try {
    await withNodes(own, async ({ node }) => {
      const [a, b] = [await node(), await node()];
      for (let from = 1; from <= 200; from += 10) {
        const documents = numbers(from, from + 9).map((content) => document(content));
        const work = () => a.index(documents, [{ account: ALICE, mark: modSeq(from + 9) }]);
        if (from !== 101) await work();
        else {
          const cut = Promise.allSettled([work(), b.remove(ALICE, [contentId(3)])]);
          await own.kill();
          for (const result of await cut)
            assert(result.status === 'fulfilled' || result.reason instanceof TemporaryError, String(result));
          await assert.rejects(b.candidates(ALICE, 'body', ['even']), TemporaryError);
          await own.start();
          await work();
          await b.remove(ALICE, [contentId(3)]);
        }
      }
      assert.equal(await b.mark(ALICE), 200);
      assert.deepEqual(
        await contentsOf(b, 'and it is'),
        numbers(1, 200).filter((content) => content !== 3),
      );
      assert.equal((await b.stats()).documents, 199);
    });
  } finally {
    await own.close();
  }
});
