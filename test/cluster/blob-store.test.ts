/** The cluster's blob store keeps the port's promises, with many clients at once, through kills of clients and server. */

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Fault, TemporaryError } from '../../core/mail/errors.ts';
import type { BlobRef } from '../../core/mail/ids.ts';
import type { BlobStore } from '../../core/ports/blob-store.ts';
import { ClusterBlobStore } from '../../drivers/cluster/blob-store.ts';
import { EmbeddedBlobStore } from '../../drivers/embedded/blob-store.ts';
import { blobStoreContract, PACK_BYTES, readsAs, refOf, sample } from '../contract/blob-store.contract.ts';
import { blobOf, liveRefs } from '../crash/blob-store-blobs.ts';
import { runUntilKilled } from '../crash/kill.ts';
import { Database, sharedServer, missing as skip } from './cluster-fixture.ts';
import { damageBlob } from './damage-blob.ts';

const NOW = 1_790_000_000_000;
const DAY = 86_400_000;
const MEBIBYTE = 1024 * 1024;

interface Nodes {
  readonly clock: { now: number };
  readonly database: Database;
  folderStore(folder: string): BlobStore;
  node(): Promise<ClusterBlobStore>;
  close(): Promise<void>;
}

async function startNodes(): Promise<Nodes> {
  const made = await Database.create(await sharedServer());
  const clock = { now: NOW };
  const opened: BlobStore[] = [];
  const folderStore = (folder: string): BlobStore =>
    new EmbeddedBlobStore({ folder, now: () => clock.now, packSizeBytesMax: PACK_BYTES });
  return {
    ...{ clock, database: made, folderStore },
    node: async () => {
      const store = new ClusterBlobStore({ mongo: await made.connect(), now: () => clock.now, archive: folderStore });
      await store.open();
      opened.push(store);
      return store;
    },
    close: async () => {
      for (const store of opened) await store.close();
      await made.dispose();
    },
  };
}

async function onNodes(run: (nodes: Nodes) => Promise<void>): Promise<void> {
  const nodes = await startNodes();
  try {
    await run(nodes);
  } finally {
    await nodes.close();
  }
}

if (skip === false)
  blobStoreContract('cluster', async () => {
    const root = fs.mkdtempSync(join(tmpdir(), 'mailmesh-blobs-'));
    const nodes = await startNodes();
    const store = await nodes.node();
    const copies: BlobStore[] = [];
    return {
      store,
      clock: nodes.clock,
      reopen: async () => {
        await store.close();
        return nodes.node();
      },
      // What a killed process leaves is what the database has now.
      afterKill: nodes.node,
      fromBackup: async () => {
        const folder = join(root, `backup-${copies.length}`);
        await store.backup(folder);
        const copy = nodes.folderStore(folder);
        copies.push(copy);
        await copy.open();
        return copy;
      },
      dispose: async () => {
        for (const copy of copies) await copy.close();
        await nodes.close();
        fs.rmSync(root, { recursive: true });
      },
    };
  });

const nobody = async (): Promise<ReadonlySet<BlobRef>> => new Set();

/** Files and chunks in GridFS that no blob names, and uploads that are announced. */
async function leftOver(made: Database): Promise<{ files: string[]; uploads: number }> {
  const mongo = await made.connect();
  const found = async (name: string, by: string) => {
    const groups = mongo.collection<{ _id: string }>(name).group<{ _id: string }>({ filter: {}, by, sums: { n: 1 } });
    return (await groups).map((group) => group._id);
  };
  const named = new Set(await found('blobs', '$file'));
  const there = new Set([...(await found('blobs.files', '$_id')), ...(await found('blobs.chunks', '$files_id'))]);
  return {
    files: [...there].filter((file) => !named.has(file)),
    uploads: (await found('blobs.uploads', '$_id')).length,
  };
}

test('cluster blob store: nodes that put, read and collect the same bytes at once lose none', { skip }, () =>
  onNodes(async ({ node, clock, database: made }) => {
    const stores = [await node(), await node(), await node()];
    const all = Array.from({ length: 30 }, (_, i) => sample(i % 6 === 0 ? MEBIBYTE + i : 2000 + i, i));
    for (let round = 0; round < 3; round++) {
      await Promise.all(all.flatMap((bytes) => stores.map((store) => store.put(bytes))));
      clock.now += DAY + 1;
      const collecting = stores.map((store) =>
        store.collect({ now: clock.now, graceMs: DAY, budgetMs: 10_000, isLive: nobody }),
      );
      await Promise.all(all.map((bytes, i) => stores[i % 3]!.put(bytes)));
      await Promise.all(collecting);
      for (const [i, bytes] of all.entries()) await readsAs(stores[(i + 1) % 3]!, bytes);
    }
    assert.equal((await stores[0]!.stats()).count, all.length);
    assert.deepEqual(await stores[1]!.verify(false), []);
    assert.deepEqual(await leftOver(made), { files: [], uploads: 0 });
    let deleted = 0;
    for (let round = 0; round < 3; round++) {
      clock.now += DAY + 1;
      const options = { now: clock.now, graceMs: DAY, budgetMs: 10_000, isLive: nobody };
      for (const { blobs } of await Promise.all(stores.map((store) => store.collect(options)))) deleted += blobs;
    }
    assert.equal(deleted, all.length, 'each is counted by one node');
    assert.deepEqual(await leftOver(made), { files: [], uploads: 0 });
  }),
);

test(
  'cluster blob store: a large blob that was deleted and put again elsewhere is read from its new place',
  {
    skip,
  },
  () =>
    onNodes(async ({ node, clock }) => {
      const [one, two] = [await node(), await node()];
      const bytes = sample(MEBIBYTE + 1, 1);
      await one.put(bytes);
      await readsAs(one, bytes);
      clock.now += DAY + 1;
      const options = { now: clock.now, graceMs: DAY, budgetMs: 1000, isLive: nobody };
      await two.collect(options);
      assert.equal((await two.collect(options)).blobs, 1);
      await assert.rejects(one.read(refOf(bytes), 0, bytes.length), Fault);
      await two.put(bytes);
      await readsAs(one, bytes);
    }),
);

test(
  'cluster blob store: damage in an inline blob or a chunk is found by reading and verify, and repaired',
  {
    skip,
  },
  () =>
    onNodes(async ({ node, database: made, clock }) => {
      const store = await node();
      const [small, large, whole] = [sample(3000, 1), sample(MEBIBYTE, 2), sample(4000, 3)];
      for (const bytes of [small, large, whole]) await store.put(bytes);
      await damageBlob(made, 'blobs', refOf(small));
      const chunks = (await made.connect()).collection<{ _id: string; n: number; data: Buffer }>('blobs.chunks');
      const chunk = (await chunks.findOne({ n: 2 }))!;
      chunk.data[1000]! ^= 1;
      await chunks.updateOne({ _id: chunk._id }, { $set: { data: chunk.data } });
      await assert.rejects(store.read(refOf(small), 0, 10), Fault);
      await assert.rejects(store.read(refOf(large), 3 * 255 * 1024 - 10, 3 * 255 * 1024), Fault);
      await readsAs(store, large.subarray(0, 300_000), refOf(large));
      await readsAs(store, whole);
      const names = (await store.verify(false)).map((damage) => damage.what).sort();
      assert.deepEqual(names, [`blob ${refOf(small)}`, `blob ${refOf(large)}`].sort());
      assert.ok((await store.verify(true)).every((damage) => damage.repaired));
      assert.equal(await store.stat(refOf(large)), undefined);
      for (const bytes of [small, large]) await store.put(bytes);
      for (const bytes of [small, large, whole]) await readsAs(store, bytes);
      assert.deepEqual(await store.verify(false), []);
      clock.now += DAY + 1;
      await store.collect({ now: clock.now, graceMs: DAY, budgetMs: 1000, isLive: async (refs) => new Set(refs) });
      assert.deepEqual(await leftOver(made), { files: [], uploads: 0 });
    }),
);

test(
  'cluster blob store: processes killed while they put and collect lose nothing acknowledged',
  {
    skip,
    timeout: 120_000,
  },
  () =>
    onNodes(async ({ node, clock, database: made }) => {
      const child = join(import.meta.dirname, 'blob-store-child.ts');
      const store = await node();
      const acknowledged: number[] = [];
      for (let round = 0; round < 3; round++) {
        const runs = [0, 1].map((n) =>
          runUntilKilled(child, [made.url, String((2 * round + n) * 10_000)], 150 + 70 * n),
        );
        for (const lines of await Promise.all(runs)) acknowledged.push(...lines.map(Number));
        for (const number of acknowledged) if (number % 2 === 1) await readsAs(store, blobOf(number));
        assert.deepEqual(await store.verify(false), []);
      }
      assert.ok(acknowledged.length >= 2 * 370, `${acknowledged.length} acknowledged`);
      // Uploads and deletions that were cut off are finished a day later.
      clock.now += 2 * DAY;
      const isLive = async (refs: readonly BlobRef[]) => liveRefs(refs, 0);
      for (let i = 0; i < 2; i++) await store.collect({ now: clock.now, graceMs: DAY, budgetMs: 10_000, isLive });
      assert.deepEqual(await leftOver(made), { files: [], uploads: 0 });
      for (const number of acknowledged) if (number % 2 === 1) await readsAs(store, blobOf(number));
    }),
);

test(
  'cluster blob store: a server killed again and again loses nothing acknowledged, and puts resume by themselves',
  {
    skip: skip !== false ? skip : process.env.MONGO_URL ? 'the server of MONGO_URL is not to be killed' : false,
    timeout: 120_000,
  },
  () =>
    onNodes(async ({ node }) => {
      const server = await sharedServer();
      const store = await node();
      const acknowledged: Buffer[] = [];
      let refused = 0;
      let next = 0;
      let done = false;
      const putter = async () => {
        while (!done) {
          const bytes = blobOf(next++);
          try {
            await store.put(bytes);
            acknowledged.push(bytes);
          } catch (error) {
            assert.ok(error instanceof TemporaryError, `${error}`);
            refused++;
          }
        }
      };
      const reached = async (count: number) => {
        while (acknowledged.length < count)
          await store.stat(refOf(acknowledged.at(-1) ?? Buffer.alloc(0))).catch(() => {});
      };
      const putters = Array.from({ length: 8 }, putter);
      try {
        for (let kill = 1; kill <= 2; kill++) {
          await reached(acknowledged.length + 120);
          await server.kill();
          await assert.rejects(store.put(sample(1000, -kill)), TemporaryError);
          await server.start();
        }
        await reached(acknowledged.length + 120);
      } finally {
        done = true;
        await Promise.all(putters);
      }
      assert.ok(refused > 0, 'the kills were felt');
      const again = await node();
      for (const bytes of acknowledged) await readsAs(again, bytes);
      assert.deepEqual(await again.verify(false), []);
    }),
);
