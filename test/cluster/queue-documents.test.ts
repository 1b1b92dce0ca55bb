/**
 * Custody records as they lie in the database: those that earlier programs wrote are run to their end, those of programs
 * to come are left alone, and damaged ones are found, repaired where that can be, and stop nobody.
 */

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, test } from 'node:test';
import type { QueueId } from '../../core/mail/ids.ts';
import { Nats } from '../../drivers/cluster/nats.ts';
import { ClusterQueue } from '../../drivers/cluster/queue.ts';
import { ALL, claim, claimOne, idOf, message, NOW, plan, verdict } from '../contract/queue-fixture.ts';
import { mongoServer, natsServer } from '../support/cluster-servers.ts';
import { Database, missing } from './cluster-fixture.ts';

const NEVER = Number.MAX_SAFE_INTEGER;

/** As the first version of documents was written: one stage done, one being claimed by a process that is gone. */
const RECORDED = {
  _id: idOf(1),
  format: 1,
  mark: 'a1b2c3d4e5f6.7',
  state: 'queued',
  due: { authentication: NEVER, attachments: NOW - 5, spam: NEVER },
  shape: 'authentication=done attachments=running spam=blocked',
  bucket: 77,
  at: NOW - 60_000,
  finished: NEVER,
  keys: ['m0123456789abcdef', message(1).blob],
  accepted: JSON.stringify(message(1)),
  jobs: [
    {
      ...{ stage: 'authentication', needs: [], state: 'done', due: 0, attempts: 1, token: '0a1b2c3d4e5f.1' },
      ...{ error: null, verdict: JSON.stringify(verdict('authentication')) },
    },
    {
      ...{ stage: 'attachments', needs: [], state: 'running', due: NOW - 5, attempts: 2, token: '0a1b2c3d4e5f.2' },
      ...{ error: 'no answer', verdict: null },
    },
    {
      ...{ stage: 'spam', needs: [0, 1], state: 'blocked', due: 0, attempts: 0, token: null },
      ...{ error: null, verdict: null },
    },
  ],
  deliveries: [],
};

test('documents', { skip: missing }, async (t) => {
  const [mongoAt, natsAt] = await Promise.all([mongoServer(), natsServer()]);
  const nats = new Nats({ url: natsAt.url });
  const database = await Database.create(mongoAt);
  const mongo = await database.connect();
  await nats.open();
  after(async () => {
    await Promise.all([nats.close(), database.dispose()]);
    await Promise.all([mongoAt.close(), natsAt.close()]);
  });
  const documents = mongo.collection<{ _id: string } & Record<string, unknown>>('queue');

  const told: string[] = [];
  const newQueue = () =>
    new ClusterQueue({
      report: (event) => told.push(event),
      ...{ mongo, nats, prefix: `t${randomBytes(5).toString('hex')}`, now: () => NOW },
      archive: () => assert.fail('no backup'),
      storeClock: { open: async () => {}, close: () => {}, now: () => NOW },
    });
  const withQueue = (name: string, run: (queue: ClusterQueue) => Promise<void>) =>
    t.test(name, async () => {
      await documents.deleteMany({});
      told.length = 0;
      const queue = newQueue();
      await queue.open();
      try {
        await run(queue);
      } finally {
        await queue.close();
      }
    });
  const change = (id: QueueId, set: Record<string, unknown>) =>
    documents.updateOne({ _id: id }, { $set: set } as never);

  await withQueue('a recorded document of the first format runs to its end', async (queue) => {
    await documents.insertOne(RECORDED);
    assert.deepEqual(await queue.verify(false), []);
    const job = await claimOne(queue, 'attachments');
    assert.deepEqual([job.attempt, job.message], [3, message(1)]);
    assert.equal(await queue.settle(job, verdict('attachments')), true);
    const last = await claimOne(queue, 'spam');
    assert.deepEqual(last.verdicts, { authentication: verdict('authentication'), attachments: verdict('attachments') });
    assert.equal(await queue.settle(last, verdict('spam')), true);
    const record = (await queue.show(idOf(1)))!;
    assert.deepEqual([record.state, record.jobs[1]!.lastError], ['done', 'no answer']);
  });

  await withQueue('a document of a format to come is left alone', async (queue) => {
    const newer = { ...RECORDED, format: 2, jobs: 'in another shape' };
    await documents.insertOne(newer);
    await queue.accept(message(2), plan(['attachments']));
    assert.deepEqual(
      (await claim(queue, 'attachments')).map(({ queueId }) => queueId),
      [idOf(2)],
    );
    assert.deepEqual(await queue.verify(true), []);
    assert.equal(await queue.retry(idOf(1)), 0);
    assert.equal(await queue.drop(idOf(1), 'unknown'), false);
    assert.equal((await queue.show(idOf(1)))!.state, 'queued');
    assert.equal((await queue.list({ limit: 10 })).length, 2);
    assert.deepEqual(await documents.findOne({ _id: idOf(1) }), newer);
  });

  for (const [what, set] of [
    [
      'a need that is settled',
      {
        'jobs.2.state': 'blocked',
        'jobs.0.verdict': '{}',
        'jobs.0.state': 'done',
        'jobs.1.verdict': '{}',
        'jobs.1.state': 'done',
      },
    ],
    ['needs that are open', { 'jobs.4.state': 'ready' }],
    ['a state that is wrong', { state: 'dead' }],
    ['a verdict that is missing', { 'jobs.0.state': 'done' }],
    ['a job that nobody looks for', { 'due.attachments': NEVER }],
  ] as const)
    await withQueue(`verify finds and repairs ${what}`, async (queue) => {
      await documents.insertOne({ ...RECORDED, _id: idOf(9) });
      for (let i = 1; i <= 3; i++) await queue.accept(message(i), ALL);
      await change(idOf(2), set);
      assert.equal((await queue.verify(false)).length, 1);
      assert.ok((await queue.verify(true)).every(({ repaired }) => repaired));
      assert.deepEqual(await queue.verify(false), []);
      for (const { stage } of ALL) for (const job of await claim(queue, stage)) await queue.settle(job, verdict(stage));
      assert.equal((await queue.list({ states: ['done'], limit: 10 })).length, 4);
    });

  const none = [null];
  for (const [what, set] of [
    ['jobs that are none', { jobs: 'x' }],
    ['no jobs', { jobs: null }],
    ['a job that is none', { jobs: none }],
    ['jobs that need none of them', { 'jobs.0.needs': [9] }],
    ['no deliveries', { deliveries: null }],
    ['keys that are none', { keys: 5 }],
    ['a number for what was accepted', { accepted: '5' }],
    ['nothing accepted', { accepted: 'null' }],
    ['a message without recipients', { accepted: JSON.stringify({ ...message(2), envelope: { recipients: 5 } }) }],
  ] as const)
    await withQueue(`a record with ${what} is set aside, named by verify, and stops nobody`, async (queue) => {
      for (let i = 1; i <= 3; i++) await queue.accept(message(i), ALL);
      // A queue that has not seen them.
      const other = newQueue();
      await other.open();
      try {
        await change(idOf(2), set);
        const ids = async () => (await claim(other, 'attachments')).map(({ queueId }) => queueId);
        const [first] = await Promise.all([ids(), claim(other, 'spam'), claim(other, 'authentication')]);
        assert.deepEqual(first, [idOf(1), idOf(3)]);
        assert.deepEqual(await ids(), []);
        assert.ok(told.length <= 1, told.join());
        const [damage] = await other.verify(true);
        assert.match(`${damage?.what} ${damage?.detail}`, new RegExp(`${idOf(2)} .*unreadable`));
        const record = (await other.show(idOf(2)))!;
        assert.deepEqual([record.state, record.accepted], ['dead', null]);
        assert.equal((await other.list({ limit: 10 })).length, 3);
        assert.ok((await other.list({ stage: 'attachments', limit: 10 })).length >= 2);
      } finally {
        await other.close();
      }
    });

  await withQueue('an unreadable record goes to the dead letters and stops nobody', async (queue) => {
    for (let i = 1; i <= 3; i++) await queue.accept(message(i), ALL);
    await change(idOf(2), { accepted: '{"broken' });
    const ids = async () => (await claim(queue, 'attachments')).map(({ queueId }) => queueId);
    assert.deepEqual(await ids(), [idOf(1), idOf(3)]);
    assert.deepEqual(await ids(), []);
    assert.match((await queue.verify(true))[0]!.detail, /unreadable/);
    const record = (await queue.show(idOf(2)))!;
    assert.deepEqual([record.state, record.accepted], ['dead', null]);
    assert.equal((await queue.list({ limit: 10 })).length, 3);
  });
});
