/** Queues of several nodes on one database and a NATS of the test's own; the time of all of them is the test's. */

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after } from 'node:test';
import type { Mongo } from '../../drivers/cluster/mongo.ts';
import { Nats } from '../../drivers/cluster/nats.ts';
import { ClusterQueue } from '../../drivers/cluster/queue.ts';
import { natsServer } from '../support/cluster-servers.ts';
import { Database, sharedServer } from './cluster-fixture.ts';

type Options = ConstructorParameters<typeof ClusterQueue>[0];

export interface QueueNodes {
  readonly mongo: Mongo;
  readonly nats: Nats;
  readonly prefix: string;
  readonly clock: { now: number };
  open(node: string, more?: Partial<Options>): Promise<ClusterQueue>;
}

/** @param now milliseconds since 1970 at which the clock stands */
export async function queueNodes(now: number): Promise<QueueNodes> {
  const natsAt = await natsServer();
  const nats = new Nats({ url: natsAt.url });
  await nats.open();
  const database = await Database.create(await sharedServer());
  const mongo = await database.connect();
  after(async () => {
    await nats.close();
    await natsAt.close();
    await database.dispose();
  });
  const clock = { now };
  const prefix = `t${randomBytes(4).toString('hex')}`;
  const open = async (node: string, more: Partial<Options> = {}): Promise<ClusterQueue> => {
    const queue = new ClusterQueue({
      ...{ mongo, nats, prefix, node },
      archive: () => assert.fail('no backup'),
      now: () => clock.now,
      storeClock: { open: async () => {}, close: () => {}, now: () => clock.now },
      ...more,
    });
    await queue.open();
    return queue;
  };
  return { mongo, nats, prefix, clock, open };
}
