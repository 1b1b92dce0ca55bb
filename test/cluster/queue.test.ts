/** The cluster's queue keeps the port's promises, on real servers. */

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { Mongo } from '../../drivers/cluster/mongo.ts';
import { Nats } from '../../drivers/cluster/nats.ts';
import { ClusterQueue } from '../../drivers/cluster/queue.ts';
import { EmbeddedQueue } from '../../drivers/embedded/queue.ts';
import { queueContract } from '../contract/queue.contract.ts';
import { NOW, type QueueFixture } from '../contract/queue-fixture.ts';
import { mongoServer, natsServer } from '../support/cluster-servers.ts';
import { Database, missing } from './cluster-fixture.ts';

let made = 0;

async function clusterContract(): Promise<void> {
  const [mongoAt, natsAt] = await Promise.all([mongoServer(), natsServer()]);
  const database = await Database.create(mongoAt);
  const nats = new Nats({ url: natsAt.url });
  await nats.open();
  const mongo = await database.connect();
  after(async () => {
    await Promise.all([nats.close(), database.dispose()]);
    await Promise.all([mongoAt.close(), natsAt.close()]);
  });
  queueContract('cluster', () => fixture(mongo, nats));
}

async function fixture(mongo: Mongo, nats: Nats): Promise<QueueFixture> {
  const root = fs.mkdtempSync(join(tmpdir(), 'mailmesh-queue-'));
  const clock = { now: NOW };
  const prefix = `t${randomBytes(4).toString('hex')}${made++}`;
  const opened: { close(): Promise<void> }[] = [];
  const archive = (folder: string): EmbeddedQueue => new EmbeddedQueue({ folder, now: () => clock.now });
  const start = async (): Promise<ClusterQueue> => {
    const queue = new ClusterQueue({
      ...{ mongo, nats, archive, prefix, node: prefix },
      now: () => clock.now,
      // Its time is the test's, too.
      storeClock: { open: async () => {}, close: () => {}, now: () => clock.now },
    });
    await queue.open();
    opened.push(queue);
    return queue;
  };
  // Each case starts without a record; the collections and their indexes stay.
  for (const name of ['queue', 'queue-refused', 'queue-sessions']) await mongo.db.collection(name).deleteMany({});
  const queue = await start();
  return {
    queue,
    clock,
    reopen: async () => {
      await opened.shift()!.close();
      return start();
    },
    // A process of the same node takes over what the killed one held.
    afterKill: start,
    fromBackup: async () => {
      await queue.backup(join(root, 'copy'));
      const copy = archive(join(root, 'copy'));
      await copy.open();
      opened.push(copy);
      assert.deepEqual(await copy.verify(false), []);
      return copy;
    },
    dispose: async () => {
      for (const one of opened) await one.close();
      await nats.manager!.streams.delete(`${prefix}-jobs`);
      fs.rmSync(root, { recursive: true });
    },
  };
}

if (missing === false) await clusterContract();
else test('cluster queue', { skip: missing });
