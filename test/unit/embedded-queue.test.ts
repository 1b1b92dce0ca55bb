/** The embedded queue keeps the port's promises, and finds and repairs records that contradict themselves. */

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { EmbeddedQueue } from '../../drivers/embedded/queue.ts';
import { queueContract } from '../contract/queue.contract.ts';
import { ALL, claim, claimOne, idOf, message, NOW, plan, refusal, verdict } from '../contract/queue-fixture.ts';

queueContract('embedded', async () => {
  const root = fs.mkdtempSync(join(tmpdir(), 'mailmesh-queue-'));
  const clock = { now: NOW };
  const opened: EmbeddedQueue[] = [];
  const start = async (name: string): Promise<EmbeddedQueue> => {
    const queue = new EmbeddedQueue({ folder: join(root, name), now: () => clock.now });
    await queue.open();
    opened.push(queue);
    return queue;
  };
  const queue = await start('a');
  return {
    queue,
    clock,
    reopen: async () => {
      await opened.shift()!.close();
      return start('a');
    },
    afterKill: async () => {
      fs.cpSync(join(root, 'a'), join(root, 'killed'), { recursive: true });
      return start('killed');
    },
    fromBackup: async () => {
      await queue.backup(join(root, 'copy'));
      return start('copy');
    },
    dispose: async () => {
      for (const one of opened) await one.close();
      fs.rmSync(root, { recursive: true });
    },
  };
});

/** Fills a queue, changes its file by hand while it is closed, and opens it again. */
async function withChanged(
  fill: (queue: EmbeddedQueue) => Promise<void>,
  sql: string,
  check: (queue: EmbeddedQueue) => Promise<void>,
): Promise<void> {
  const folder = fs.mkdtempSync(join(tmpdir(), 'mailmesh-queue-'));
  let queue = new EmbeddedQueue({ folder, now: () => NOW });
  try {
    await queue.open();
    await fill(queue);
    await queue.close();
    const db = new DatabaseSync(join(folder, 'queue.db'));
    db.exec(sql);
    db.close();
    queue = new EmbeddedQueue({ folder, now: () => NOW });
    await queue.open();
    await check(queue);
  } finally {
    await queue.close();
    fs.rmSync(folder, { recursive: true });
  }
}

const three = async (queue: EmbeddedQueue) => {
  for (let i = 1; i <= 3; i++) await queue.accept(message(i), ALL);
  await queue.settle((await claim(queue, 'authentication', NOW, 1))[0]!, verdict('authentication'));
};

for (const [what, sql, damages] of [
  ['a job that is missing', 'DELETE FROM jobs WHERE key = 64 + 2', 1],
  ['needs that are wrong', 'UPDATE jobs SET needs = 0, state = 1 WHERE key = 64 + 4', 1],
  ['a need that is settled', 'UPDATE jobs SET needs = 3 WHERE key = 64 + 2', 1],
  ['a job of no message', "INSERT INTO jobs VALUES (64 * 9, 'spam', 1, 0, 0, 0, NULL, NULL)", 1],
  ['a state that is wrong', 'UPDATE messages SET state = 1 WHERE n = 2', 1],
] as const)
  test(`embedded queue: verify finds and repairs ${what}`, () =>
    withChanged(three, sql, async (queue) => {
      assert.equal((await queue.verify(false)).length, damages);
      assert.ok((await queue.verify(true)).every((damage) => damage.repaired));
      assert.deepEqual(await queue.verify(false), []);
      for (const { stage } of ALL) for (const job of await claim(queue, stage)) await queue.settle(job, verdict(stage));
      assert.equal((await queue.list({ states: ['done'], limit: 10 })).length, 3);
    }));

test('embedded queue: an unreadable record goes to the dead letters and stops nobody', () =>
  withChanged(three, "UPDATE bodies SET accepted = '{\"broken' WHERE n = 2", async (queue) => {
    const jobs = await claim(queue, 'attachments');
    assert.deepEqual(
      jobs.map((job) => job.queueId),
      [idOf(1), idOf(3)],
    );
    assert.deepEqual(await claim(queue, 'attachments', NOW * 2, 100).then((again) => again.length), 2);
    assert.match((await queue.verify(true))[0]!.detail, /unreadable/);
    const record = (await queue.show(idOf(2)))!;
    assert.deepEqual([record.state, record.accepted], ['dead', null]);
    assert.equal((await queue.list({ limit: 10 })).length, 3);
  }));

test('embedded queue: only the newest 100,000 refusals are kept', () =>
  withChanged(
    (queue) => queue.refuse(refusal(1)),
    'UPDATE refused SET n = 1; INSERT INTO refused SELECT 100000, id || 9, at, mid, record FROM refused',
    async (queue) => {
      assert.notEqual(await queue.show(idOf(1)), undefined);
      await queue.refuse(refusal(2));
      assert.equal(await queue.show(idOf(1)), undefined);
      assert.notEqual(await queue.show(idOf(2)), undefined);
    },
  ));

test('embedded queue: more messages at work than are remembered', () =>
  withChanged(
    async (queue) => {
      await Promise.all(Array.from({ length: 2_300 }, (_, i) => queue.accept(message(i), plan(['spam']))));
      const jobs = await claim(queue, 'spam', NOW, 2_300);
      assert.equal(jobs.length, 2_300);
      for (const job of jobs) assert.equal(job.message.queueId, job.queueId);
      await Promise.all(jobs.map((job) => queue.settle(job, verdict('spam'))));
      await queue.accept(message(9_000), plan(['spam']));
    },
    'SELECT 1',
    async (queue) => {
      assert.equal((await claimOne(queue, 'spam')).queueId, idOf(9_000));
      assert.equal((await queue.list({ states: ['done'], limit: 3_000 })).length, 2_300);
    },
  ));
