/** Jobs whose pointers NATS has lost: several processes find all of them, each in its share, and none runs twice. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sweepShare, sweepSlowdown } from '../../core/mesh/sweep.ts';
import type { Job } from '../../core/ports/queue.ts';
import type { ClusterQueue } from '../../drivers/cluster/queue.ts';
import { message, NOW, plan } from '../contract/queue-fixture.ts';
import { missing } from './cluster-fixture.ts';
import { queueNodes } from './queue-nodes.ts';

const NODES = ['a', 'b', 'c', 'd', 'e'];
/** More than one look finds, for each of them. */
const MESSAGES = 200;
const CLAIM = 4;

test('lost pointers', { skip: missing }, async (t) => {
  const { mongo, nats, prefix, clock, open } = await queueNodes(NOW + MESSAGES);
  const sweeper = (node: string): Promise<ClusterQueue> =>
    open(node, {
      sweep: { slowdown: () => sweepSlowdown(NODES.length), share: (_stage, wider) => sweepShare(node, NODES, wider) },
    });

  const fill = async (): Promise<void> => {
    const source = await open('source');
    await Promise.all(Array.from({ length: MESSAGES }, (_, i) => source.accept(message(i), plan(['spam']))));
    await source.close();
    await nats.manager!.streams.delete(`${prefix}-jobs`);
  };

  /** Every queue claims until nobody gets anything, time going on meanwhile. */
  const drain = async (queues: readonly ClusterQueue[]): Promise<readonly Job[][]> => {
    const claimed = queues.map((): Job[] => []);
    for (let idle = 0; idle < 3; ) {
      const rounds = await Promise.all(
        queues.map((queue) => queue.claim('spam', { max: CLAIM, leaseMs: 600_000, now: clock.now })),
      );
      rounds.forEach((jobs, i) => void claimed[i]!.push(...jobs));
      idle = rounds.every((jobs) => jobs.length === 0) ? idle + 1 : 0;
      clock.now += 10_000;
    }
    return claimed;
  };

  await t.test('all are found, once, by all processes alike', async () => {
    await fill();
    const queues = await Promise.all(NODES.map(sweeper));
    const claimed = await drain(queues);
    const ids = claimed.flat().map(({ queueId }) => queueId);
    assert.equal(ids.length, MESSAGES);
    assert.equal(new Set(ids).size, MESSAGES);
    for (const jobs of claimed) assert.ok(jobs.length > MESSAGES / NODES.length / 2, `${jobs.length}`);
    for (const queue of queues) await queue.close();
  });

  await t.test('the share of a process that takes nothing is left to the others', async () => {
    await mongo.db.collection('queue').deleteMany({});
    await fill();
    const queues = await Promise.all(['a', 'b'].map(sweeper));
    const claimed = await drain(queues);
    assert.equal(new Set(claimed.flat().map(({ queueId }) => queueId)).size, MESSAGES);
    for (const queue of queues) await queue.close();
  });

  await t.test('a stage at rest is told of one by whichever stage looks first', async () => {
    await mongo.db.collection('queue').deleteMany({});
    const queue = await open('a');
    const at = (stage: Job['stage']): Promise<Job[]> =>
      queue.claim(stage, { max: CLAIM, leaseMs: 600_000, now: clock.now });
    const STAGES = ['attachments', 'spam', 'delivery'] as const;
    for (const stage of STAGES) assert.deepEqual(await at(stage), []);
    const stored = message(MESSAGES + 1);
    const source = await open('source');
    await source.accept(stored, plan(['spam']));
    await source.close();
    await nats.manager!.streams.delete(`${prefix}-jobs`);
    clock.now += 4_000;
    const told = new Promise<void>((resolve) => {
      queue.onReady((stage) => stage === 'spam' && resolve());
    });
    assert.deepEqual(await at('delivery'), []);
    await told;
    assert.deepEqual(
      (await at('spam')).map(({ queueId }) => queueId),
      [stored.queueId],
    );
    await queue.close();
  });
});
