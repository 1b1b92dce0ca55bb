/** The cluster's sample store keeps the port's promises; no reader of the log misses what another node appends. */

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { TemporaryError } from '../../core/mail/errors.ts';
import { accountId } from '../../core/mail/ids.ts';
import type { Label, SampleStore } from '../../core/ports/sample-store.ts';
import { copyLabels } from '../../drivers/cluster/sample-copy.ts';
import { ClusterSampleStore } from '../../drivers/cluster/sample-store.ts';
import { EmbeddedSampleStore } from '../../drivers/embedded/sample-store.ts';
import { sampleStoreContract } from '../contract/sample-store.contract.ts';
import { type ClusterServer, mongoServer } from '../support/cluster-servers.ts';
import { Database, missing, sharedServer } from './cluster-fixture.ts';

const archive = (folder: string) => new EmbeddedSampleStore({ folder });
const ALICE = accountId('alice00000000000');

const label = (key: string, more: Partial<Label> = {}): Label => ({
  ...{ key, account: ALICE, sample: key, label: 'spam', source: 'move', sender: 's', previous: 'ham', score: 0.5 },
  ...{ model: 'm', schema: 1, weight: 1, at: 1_790_000_000_000 },
  ...more,
});
const features = (key: string) => ({ key, schema: 1, features: new Uint8Array([1, 2, 3]), at: 1_790_000_000_000 });

if (missing === false)
  sampleStoreContract('cluster', async () => {
    const root = fs.mkdtempSync(join(tmpdir(), 'mailmesh-samples-'));
    const database = await Database.create(await sharedServer());
    const opened: SampleStore[] = [];
    const start = async (store: SampleStore): Promise<SampleStore> => {
      await store.open();
      opened.push(store);
      return store;
    };
    const node = async () => start(new ClusterSampleStore({ mongo: await database.connect(), archive }));
    const store = await node();
    return {
      store,
      reopen: async () => {
        await opened.shift()!.close();
        return node();
      },
      afterKill: node,
      fromBackup: async () => {
        await store.backup(join(root, 'backup'));
        return start(archive(join(root, 'backup')));
      },
      dispose: async () => {
        for (const one of opened) await one.close();
        await database.dispose();
        fs.rmSync(root, { recursive: true });
      },
    };
  });

type Node = () => Promise<ClusterSampleStore>;

async function withNodes(server: ClusterServer, work: (node: Node) => Promise<void>): Promise<void> {
  const database = await Database.create(server);
  const opened: ClusterSampleStore[] = [];
  try {
    await work(async () => {
      const store = new ClusterSampleStore({ mongo: await database.connect(), archive });
      await store.open();
      opened.push(store);
      return store;
    });
  } finally {
    for (const store of opened) await store.close();
    await database.dispose();
  }
}

const it = (goal: string, work: (node: Node) => Promise<void>) =>
  void test(`cluster sample store: ${goal}`, { skip: missing }, async () => withNodes(await sharedServer(), work));

it('three nodes append, and a fourth that reads on behind what it saw misses nothing', async (node) => {
  const writers = [await node(), await node(), await node()];
  const reader = await node();
  const each = 40;
  let writing = true;
  const appended = Promise.all(
    writers.map(async (writer, w) => {
      for (let i = 0; i < each; i += 2) await writer.append([label(`w${w}-${i}`), label(`w${w}-${i + 1}`)]);
    }),
  ).finally(() => {
    writing = false;
  });
  const seen: { seq: number; key: string }[] = [];
  for (let more = true; more; ) {
    more = writing;
    const page = await reader.labels({ after: seen.at(-1)?.seq ?? 0, limit: 7 });
    seen.push(...page);
    if (page.length > 0) more = true;
  }
  await appended;
  assert.deepEqual(
    seen.map(({ seq }) => seq),
    Array.from({ length: 3 * each }, (_, i) => i + 1),
  );
  for (const w of [0, 1, 2])
    assert.deepEqual(
      seen.filter(({ key }) => key.startsWith(`w${w}-`)).map(({ key }) => key),
      Array.from({ length: each }, (_, i) => `w${w}-${i}`),
    );
  assert.deepEqual(await reader.verify(), []);
});

it('the same labels from two nodes at once are in the log once', async (node) => {
  const [a, b] = [await node(), await node()];
  const labels = Array.from({ length: 20 }, (_, i) => label(`l${i}`));
  const [first, second] = await Promise.all([a.append(labels), b.append([...labels].reverse())]);
  assert.equal(first + second, 20);
  assert.deepEqual(
    (await a.labels({ after: 0, limit: 100 })).map(({ key }) => key).sort(),
    labels.map(({ key }) => key).sort(),
  );
});

it('a node goes on behind what another one appended and took back', async (node) => {
  const [a, b] = [await node(), await node()];
  await a.append([label('l1')]);
  await b.append([label('l2', { account: accountId('bob0000000000000') }), label('l3')]);
  assert.equal(await b.forgetUser(ALICE), 2);
  await a.append([label('l1'), label('l4')]);
  assert.deepEqual(
    (await b.labels({ after: 0, limit: 10 })).map(({ key, seq }) => [key, seq]),
    [
      ['l2', 2],
      ['l1', 4],
      ['l4', 5],
    ],
  );
  assert.equal((await b.stats()).labels, 3);
  const text = JSON.stringify(await a.labels({ after: 0, limit: 10, account: '' as never }));
  assert.doesNotMatch(text, /alice|l3/);
});

it('features whose label came first are not dropped', async (node) => {
  const [a, b] = [await node(), await node()];
  await a.append([label('m1')]);
  await Promise.all([b.remember(features('m1')), b.remember(features('m2'))]);
  assert.deepEqual(
    (await a.unlabelled(10)).map(({ key }) => key),
    ['m2'],
  );
  assert.equal(await a.forget(Number.MAX_SAFE_INTEGER, 10), 1);
  assert.notEqual(await a.features('m1'), undefined);
});

it('a copy keeps every place in the log, is gone on with, and goes both ways', async (node) => {
  const root = fs.mkdtempSync(join(tmpdir(), 'mailmesh-samples-'));
  const embedded = archive(join(root, 'a'));
  const back = archive(join(root, 'b'));
  await embedded.open();
  await back.open();
  try {
    const bob = accountId('bob0000000000000');
    await embedded.append([label('l1', { account: bob }), label('l2'), label('l3', { account: bob }), label('l4')]);
    await embedded.append(
      Array.from({ length: 1200 }, (_, i) => label(`m${i}`, { account: i % 2 === 0 ? bob : ALICE })),
    );
    await embedded.append([label('last', { account: bob })]);
    await embedded.forgetUser(bob);
    const a = await node();
    const places = async (store: SampleStore) =>
      (await store.labels({ after: 0, limit: 2000 })).map(({ key, seq }) => [key, seq]);
    let pages = 0;
    const cut = copyLabels(embedded, a, async () => {
      pages++;
      if (pages === 1) return;
      throw new Error('cut off');
    });
    await assert.rejects(cut, /cut off/);
    for (let again = 0; again < 2; again++) await copyLabels(embedded, a, () => Promise.resolve());
    assert.deepEqual(await places(a), await places(embedded));
    assert.equal((await a.stats()).lastSeq, 1205);
    await copyLabels(a, back, () => Promise.resolve());
    assert.deepEqual(await places(back), await places(embedded));
    assert.equal((await back.stats()).lastSeq, 1205);
  } finally {
    await embedded.close();
    await back.close();
    fs.rmSync(root, { recursive: true });
  }
});

it('a log with labels of its own gets those that it lacks', async (node) => {
  const root = fs.mkdtempSync(join(tmpdir(), 'mailmesh-samples-'));
  const embedded = archive(root);
  await embedded.open();
  try {
    await embedded.append([label('l1'), label('l2')]);
    const a = await node();
    await a.append([label('own'), label('l2')]);
    await copyLabels(embedded, a, () => Promise.resolve());
    assert.deepEqual(
      (await a.labels({ after: 0, limit: 10 })).map(({ key }) => key),
      ['own', 'l2', 'l1'],
    );
  } finally {
    await embedded.close();
    fs.rmSync(root, { recursive: true });
  }
});

test('cluster sample store: through the end of the server acknowledged labels stay, and none is doubled', {
  skip: missing === false && (process.env.MONGO_URL ?? '') !== '' ? 'MONGO_URL is not ours to kill' : missing,
}, async () => {
  const own = await mongoServer();
  try {
    await withNodes(own, async (node) => {
      const [a, b] = [await node(), await node()];
      const acknowledged: string[] = [];
      const write = async (store: SampleStore, name: string): Promise<string[]> => {
        for (let i = 0; ; i++)
          try {
            await store.append([label(`${name}${i}`)]);
            acknowledged.push(`${name}${i}`);
            if (acknowledged.length === 20) void own.kill();
          } catch (error) {
            assert(error instanceof TemporaryError, String(error));
            return [`${name}${i}`];
          }
      };
      const unsure = await Promise.all([write(a, 'a'), write(b, 'b')]);
      await assert.rejects(a.remember(features('m')), TemporaryError);
      await own.restart();
      for (const key of unsure.flat()) await a.append([label(key)]);
      await b.append([label('after')]);
      const log = await a.labels({ after: 0, limit: 1000 });
      assert.deepEqual(log.map(({ key }) => key).sort(), [...acknowledged, ...unsure.flat(), 'after'].sort());
      assert.deepEqual(
        log.map(({ seq }) => seq),
        log.map((_, i) => i + 1),
      );
      assert.deepEqual(await b.verify(), []);
    });
  } finally {
    await own.close();
  }
});
