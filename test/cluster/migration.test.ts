/** A change of the documents' format on a real server: a run that is killed, nodes that started before, two operators. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { loadConfig } from '../../core/config/load.ts';
import { runMigrations } from '../../drivers/cluster/migration.ts';
import { Mongo } from '../../drivers/cluster/mongo.ts';
import { Nats } from '../../drivers/cluster/nats.ts';
import { ClusterQueue } from '../../drivers/cluster/queue.ts';
import { startNode } from '../../mixins/node.ts';
import { failedStart } from '../support/cli.ts';
import { eventually } from '../support/clients.ts';
import { type ClusterServer, natsServer } from '../support/cluster-servers.ts';
import { newDataDir, removeDataDir } from '../support/server.ts';
import { Database, missing, sharedServer } from './cluster-fixture.ts';
import { MIGRATION_STEPS } from './migration-steps.ts';

const COUNT = 2_000;
const skip = missing;

let nats: ClusterServer;
let root: string;
before(async () => {
  if (skip === false) [nats, root] = await Promise.all([natsServer(), newDataDir()]);
});
after(async () => {
  if (skip !== false) return;
  await nats.close();
  await removeDataDir(root);
});

/** A node as far as a migration sees it. */
async function startQueue(url: string, node: string, knows: number) {
  const mongo = new Mongo({ url, knows });
  const connection = new Nats({ url: nats.url });
  await mongo.open();
  await connection.open();
  const told: string[] = [];
  const queue = new ClusterQueue({
    ...{ mongo, nats: connection, now: Date.now, node, prefix: `mailmesh-${mongo.cluster}` },
    archive: () => assert.fail('no backup'),
    report: (event) => told.push(event),
  });
  const close = async () => {
    await Promise.all([mongo.close(), connection.close()]);
  };
  await queue.open().catch(async (error: unknown) => {
    await close();
    throw error;
  });
  return {
    ...{ mongo, queue, told },
    stop: async () => {
      await queue.close();
      await close();
    },
  };
}

test('a run is killed, a node of the version before is refused, and the next run ends it', { skip }, async () => {
  const database = await Database.create(await sharedServer());
  // Makes it, in the first format.
  const first = await database.connect();
  const names = first.collection<{ _id: string; name: string; times: number }>('names');
  await names.insertMany(Array.from({ length: COUNT }, (_, n) => ({ _id: `n${n}`, name: `A${n} B${n}`, times: 0 })));
  const node = await startQueue(database.url, 'running', 2);
  const old = await startQueue(database.url, 'old', 1);
  try {
    const run = () => runMigrations({ mongo: node.mongo, steps: MIGRATION_STEPS, told: () => {}, settleMs: 0 });
    await assert.rejects(run(), (error: { facts?: { detail?: string } }) => {
      assert.equal(error.facts?.detail, 'node old does not know format 2: it must have this version first');
      return true;
    });
    await old.stop();
    assert.equal(node.mongo.record.format, 1);

    const child = spawn(process.execPath, [join(import.meta.dirname, 'migration-child.ts'), database.url], {
      stdio: 'inherit',
    });
    assert.deepEqual(await once(child, 'exit'), [null, 'SIGKILL']);
    // The child has waited for this: it sees the number without being told.
    assert.equal(node.mongo.record.format, 2);
    const left = await names.group<{ _id: null; count: number }>({
      ...{ filter: { name: { $exists: true } }, by: null, sums: { count: 1 } },
    });
    assert.equal(left[0]?.count, COUNT - 500);
    await assert.rejects(startQueue(database.url, 'old', 1), /made by a newer version \(format 2, this one knows 1\)/);

    const [one, two] = await Promise.all([run(), run()]);
    assert.deepEqual([one.format, two.format], [2, 2]);
    assert.ok(one.resumed || two.resumed);
    const all = await first.collection<{ _id: string; first: string; times: number }>('names').find({ filter: {} });
    assert.equal(all.filter(({ _id, first, times }) => first === `A${_id.slice(1)}` && times === 1).length, COUNT);
    assert.deepEqual(await run(), { format: 2, looked: 0, changed: 0, resumed: false });
    assert.deepEqual(node.told, []);
  } finally {
    await node.stop();
    await database.dispose();
  }
});

test('mailmesh migrate: nobody is in its way; nodes tell their format; a database that is newer ends a start in one line', {
  skip,
}, async () => {
  const database = await Database.create(await sharedServer());
  const mongo = await database.connect();
  const env = {
    ...{
      MAILMESH_MONGO_URL: database.url,
      MAILMESH_NATS_URL: nats.url,
      MAILMESH_SERVICES: 'mailbox,nodes,maintenance',
    },
    ...{ MAILMESH_HTTP_PORT: '0', MAILMESH_LOG_LEVEL: 'error' },
  };
  const node = await startNode(loadConfig({ ...env, MAILMESH_DATA_DIR: join(root, 'a') }), { roles: 'all' });
  try {
    // What a run that was killed has left behind.
    const { locks } = node.context.stores;
    assert.equal(await locks.take('migrate', 'another', 60_000), true);
    const two = await Promise.all([node.call('maintenance.migrate', {}), node.call('maintenance.migrate', {})]);
    for (const done of two) assert.deepEqual([done.format, done.changed], [1, 'nothing: this is the newest format']);
    const [status] = (await node.call('nodes.list', {})).items;
    assert.deepEqual([status!.format, status!.trouble], [1, null]);

    // As if a newer program had raised it all the same.
    const meta = mongo.collection<{ _id: string; format: number }>('meta');
    await meta.updateOne({ _id: 'cluster' }, { $set: { format: 2 } });
    await mongo.record.refresh();
    const err = await failedStart(join(root, 'b'), env);
    assert.match(
      err,
      /^mailmesh: the MongoDB database at \S+ was made by a newer version \(format 2, this one knows 1\)\n$/,
    );
    // One that runs looks when it renews its session: it is not ready from then on, and says why.
    const found = await eventually('a node that is not ready', async () => {
      const [found] = (await node.call('nodes.list', {})).items;
      return found!.state === 'not ready' ? found : undefined;
    });
    assert.match(found.trouble!, /was made by a newer version/);
    assert.deepEqual(found.waitingFor, ['store']);
    // It is told of once the session is renewed too: a round trip after the node has seen it.
    const told = await eventually('an event of the newer database', async () =>
      (await node.context.metrics.meshEvents.get()).values.find(({ labels }) => labels.event === 'database.newer'),
    );
    assert.equal(told.value, 1);
  } finally {
    await node.stop();
    await database.dispose();
  }
});
