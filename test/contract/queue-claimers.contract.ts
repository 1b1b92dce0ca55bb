/**
 * Cases about claimers that wait: a driver may give them new jobs without a claim of their own, and must still keep the
 * promises about order, leases, restarts and who gets a job.
 */

import assert from 'node:assert/strict';
import {
  ALL,
  claim,
  claimOne,
  idOf,
  ids,
  LEASE,
  message,
  NOW,
  plan,
  type QueueCase,
  verdict,
} from './queue-fixture.ts';

const TWO = plan(['attachments'], ['spam', 'attachments']);

export function queueClaimersContract(it: QueueCase): void {
  it('a job that becomes ready while its claimer waits is given once', async (queue) => {
    for (const stage of ['attachments', 'spam'] as const) assert.deepEqual(await claim(queue, stage), []);
    await queue.accept(message(1), TWO);
    const job = await claimOne(queue, 'attachments');
    assert.equal(job.attempt, 1);
    assert.deepEqual(await claim(queue, 'attachments'), []);
    assert.equal(await queue.settle(job, verdict('attachments')), true);
    const next = await claimOne(queue, 'spam');
    assert.deepEqual(next.verdicts.attachments, verdict('attachments'));
    assert.deepEqual(await claim(queue, 'spam'), []);
    assert.equal(await queue.settle(next, verdict('spam')), true);
    assert.equal((await queue.show(idOf(1)))!.state, 'done');
  });

  it('older jobs come first although a claimer waits', async (queue) => {
    for (let i = 1; i <= 3; i++) await queue.accept(message(i), TWO);
    assert.deepEqual(ids(await claim(queue, 'attachments', NOW, 1)), [idOf(1)]);
    await queue.accept(message(4), TWO);
    assert.deepEqual(ids(await claim(queue, 'attachments')), [idOf(2), idOf(3), idOf(4)]);
  });

  it('many claimers at once get each job once', async (queue) => {
    assert.deepEqual(await claim(queue, 'attachments'), []);
    const seen: string[] = [];
    await Promise.all(
      Array.from({ length: 60 }, async (_, i) => {
        await queue.accept(message(i + 1), TWO);
        seen.push(...ids(await claim(queue, 'attachments', NOW, 3)));
      }),
    );
    for (let jobs = await claim(queue, 'attachments'); jobs.length > 0; jobs = await claim(queue, 'attachments'))
      seen.push(...ids(jobs));
    assert.equal(new Set(seen).size, 60);
    assert.equal(seen.length, 60);
  });

  it('a claimer that went away keeps no job: its lease ends', async (queue, { clock }) => {
    assert.deepEqual(await claim(queue, 'attachments'), []);
    await queue.accept(message(1), TWO);
    // Nobody claims until long after; whoever comes then gets it with a whole lease.
    clock.now += 10 * LEASE;
    const job = await claimOne(queue, 'attachments', clock.now);
    assert.deepEqual(await claim(queue, 'attachments', clock.now + LEASE - 1), []);
    assert.equal(await queue.settle(job, verdict('attachments')), true);
  });

  it('what was meant for a claimer of a process that was killed is claimed by the next', async (queue, {
    afterKill,
  }) => {
    for (const { stage } of ALL) await claim(queue, stage);
    await queue.accept(message(1), ALL);
    const after = await afterKill();
    assert.deepEqual(ids(await claim(after, 'attachments')), [idOf(1)]);
    assert.deepEqual(ids(await claim(after, 'authentication')), [idOf(1)]);
  });

  it('a job that waits is claimed when it is due, however many are given meanwhile', async (queue, { clock }) => {
    await queue.accept(message(1), TWO);
    assert.equal(await queue.fail(await claimOne(queue, 'attachments'), 'broken', NOW + 500), true);
    const got: string[] = [];
    for (let i = 2; i < 40; i++) {
      clock.now = NOW + i * 100;
      await queue.accept(message(i), TWO);
      got.push(...ids(await claim(queue, 'attachments', clock.now)));
    }
    assert.ok(got.includes(idOf(1)), 'the job that had failed was never claimed again');
    assert.equal(got.length, 39);
  });
}
