/** The cluster's model store keeps the port's promises; of two nodes that activate at once, one wins. */

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { ModelStore } from '../../core/ports/model-store.ts';
import { ClusterModelStore } from '../../drivers/cluster/model-store.ts';
import { EmbeddedModelStore } from '../../drivers/embedded/model-store.ts';
import { artefact, modelStoreContract } from '../contract/model-store.contract.ts';
import { Database, sharedServer, missing as skip } from './cluster-fixture.ts';
import { damageBlob } from './damage-blob.ts';

const NOW = 1_790_000_000_000;
const DAY = 86_400_000;

interface Nodes {
  readonly clock: { now: number };
  readonly database: Database;
  node(): Promise<ClusterModelStore>;
  close(): Promise<void>;
}

async function startNodes(): Promise<Nodes> {
  const made = await Database.create(await sharedServer());
  const clock = { now: NOW };
  const opened: ModelStore[] = [];
  return {
    clock,
    database: made,
    node: async () => {
      const store = new ClusterModelStore({ mongo: await made.connect(), now: () => clock.now });
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
  modelStoreContract('cluster', async () => {
    const root = fs.mkdtempSync(join(tmpdir(), 'mailmesh-models-'));
    const nodes = await startNodes();
    const store = await nodes.node();
    return {
      store,
      reopen: async () => {
        await store.close();
        return nodes.node();
      },
      afterKill: () => nodes.node(),
      fromBackup: async () => {
        await store.backup(join(root, 'backup'));
        const copy = new EmbeddedModelStore({ folder: join(root, 'backup') });
        await copy.open();
        return copy;
      },
      damage: (id) => damageBlob(nodes.database, 'artefacts', id),
      dispose: async () => {
        await nodes.close();
        fs.rmSync(root, { recursive: true });
      },
    };
  });

const INFO = { parent: null, schema: 1, trainedTo: 0, createdAt: NOW, metrics: {} };

test('cluster model store: nodes that put and activate at once leave every version once and one active', { skip }, () =>
  onNodes(async ({ node }) => {
    const stores = await Promise.all(Array.from({ length: 5 }, node));
    const models = await Promise.all(stores.map((store, n) => store.put(artefact(n), INFO)));
    assert.deepEqual(models.map((model) => model.version).sort(), [1, 2, 3, 4, 5]);
    await Promise.all(stores.map((store, n) => store.activate(models[n]!.id, `node ${n}`, 'better', NOW + n)));
    const actives = await Promise.all(stores.map((store) => store.active()));
    assert.equal(new Set(actives.map((model) => model?.id)).size, 1);
    const list = await stores[0]!.list();
    assert.deepEqual(list.map((model) => model.state).sort(), ['active', 'retired', 'retired', 'retired', 'retired']);
    // Each activation but the first retired the one before: the history is one line.
    const events = (await stores[1]!.events(100)).filter((event) => event.to === 'active' || event.to === 'retired');
    assert.equal(events.length, 9);
    assert.equal(events[0]!.model, actives[0]!.id);
  }),
);

test('cluster model store: the same artefact put by several nodes is one model', { skip }, () =>
  onNodes(async ({ node }) => {
    const stores = await Promise.all(Array.from({ length: 4 }, node));
    const bytes = Buffer.alloc(700_000, 'the same ');
    const models = await Promise.all(stores.map((store) => store.put(bytes, INFO)));
    for (const model of models) assert.deepEqual(model, models[0]);
    assert.equal((await stores[3]!.list()).length, 1);
    for (const store of stores) assert.ok(Buffer.from(await store.load(models[0]!.id)).equals(bytes));
  }),
);

test('cluster model store: a damaged artefact is named, and put right by putting it again', { skip }, () =>
  onNodes(async ({ node, database: made }) => {
    const store = await node();
    const { id } = await store.put(artefact(1), INFO);
    await damageBlob(made, 'artefacts', id);
    assert.match((await store.verify())[0]!.what, /^model version 1/);
    await store.put(artefact(1), INFO);
    assert.deepEqual(await store.verify(), []);
    assert.equal((await store.list()).length, 1);
  }),
);

test('cluster model store: pruned artefacts are deleted a day later, others never', { skip }, () =>
  onNodes(async ({ node, clock, database: made }) => {
    const store = await node();
    const models = [];
    for (let n = 0; n < 4; n++) models.push(await store.put(artefact(n), INFO));
    const artefacts = (await made.connect()).collection<{ _id: string }>('artefacts');
    assert.equal(await store.prune(1), 3);
    assert.equal((await artefacts.find({ filter: {} })).length, 4);
    for (let day = 1; day <= 3; day++) {
      clock.now += DAY + 1;
      assert.equal(await store.prune(1), 0);
    }
    assert.deepEqual(
      (await artefacts.find({ filter: {}, fields: ['_id'] })).map((one) => one._id),
      [models[3]!.id],
    );
    assert.ok((await store.load(models[3]!.id)).length > 0);
  }),
);
