/** What every queue driver promises about records of another queue: they are taken over as they stand, once. */

import assert from 'node:assert/strict';
import type { QueueId } from '../../core/mail/ids.ts';
import type { JobInfo, MessageRecord } from '../../core/ports/queue.ts';
import {
  blobOf,
  claim,
  claimOne,
  delivery,
  idOf,
  message,
  NOW,
  plan,
  type QueueCase,
  refusal,
  run,
  verdict,
} from './queue-fixture.ts';

const TWO = plan(['authentication'], ['spam', 'authentication']);

/** The same under another id. */
function renamed(record: MessageRecord, queueId: QueueId): MessageRecord {
  const { accepted, refused } = record;
  return {
    ...record,
    queueId,
    accepted: accepted && { ...accepted, queueId },
    refused: refused && { ...refused, queueId },
  };
}

/** As it is after it was adopted: nobody holds its claims. */
const unclaimed = (record: MessageRecord): MessageRecord => ({
  ...record,
  jobs: record.jobs.map((job): JobInfo => (job.state === 'running' ? { ...job, state: 'ready', dueAt: 0 } : job)),
});

export function queueAdoptContract(it: QueueCase): void {
  it('a record is adopted as it stands, and runs on', async (queue) => {
    for (let i = 1; i <= 6; i++) await queue.accept(message(i), TWO);
    const jobs = await claim(queue, 'authentication', NOW, 5);
    const facts = { part: { ref: blobOf(70) } };
    await queue.settle(jobs[0]!, verdict('authentication', { facts }), [delivery('half@mail.localhost')]);
    await queue.fail(jobs[1]!, 'later', NOW + 500);
    await queue.fail(jobs[2]!, 'broken', null);
    await queue.drop(idOf(4), 'not wanted');
    await queue.refuse(refusal(6));
    await queue.refuse(refusal(7));
    for (let i = 1; i <= 7; i++) {
      const record = (await queue.show(idOf(i)))!;
      const copy = renamed(record, idOf(100 + i));
      assert.equal(await queue.adopt(copy), true);
      assert.deepEqual(await queue.show(copy.queueId), unclaimed(copy), `record ${i}`);
      assert.equal(await queue.adopt(copy), false);
    }
    assert.deepEqual(await queue.verify(false), []);
    assert.deepEqual(await queue.liveBlobs([blobOf(70)]), new Set([blobOf(70)]));
    const found = await queue.findByMessageId(message(1).messageId);
    assert.deepEqual(
      found.map(({ queueId }) => queueId),
      [idOf(101), idOf(1)],
    );
    assert.deepEqual(
      (await claim(queue, 'spam')).map(({ queueId }) => queueId),
      [idOf(1), idOf(101)],
    );
  });
  it('jobs of an adopted record are claimed like others', async (queue) => {
    await queue.accept(message(1), TWO);
    const first = await claimOne(queue, 'authentication');
    const copy = renamed((await queue.show(idOf(1)))!, idOf(2));
    await queue.settle(first, verdict('authentication'));
    await run(queue, 'spam');
    assert.equal(await queue.adopt(copy), true);
    const job = await claimOne(queue, 'authentication');
    assert.deepEqual([job.queueId, job.attempt], [idOf(2), 2]);
    await queue.settle(job, verdict('authentication'));
    await run(queue, 'spam');
    assert.equal((await queue.show(idOf(2)))!.state, 'done');
  });
  it('an adopted retry is due when it was', async (queue) => {
    await queue.accept(message(1), TWO);
    await queue.fail(await claimOne(queue, 'authentication'), 'later', NOW + 500);
    const copy = renamed((await queue.show(idOf(1)))!, idOf(2));
    await queue.drop(idOf(1), 'moved');
    assert.equal(await queue.adopt(copy), true);
    assert.deepEqual(await claim(queue, 'authentication', NOW + 499), []);
    assert.equal(await queue.nextDue('authentication'), NOW + 500);
    assert.equal((await claimOne(queue, 'authentication', NOW + 500)).attempt, 2);
  });
  it('what is finished stays so', async (queue) => {
    await queue.accept(message(1), plan(['spam']));
    await run(queue, 'spam');
    const copy = renamed((await queue.show(idOf(1)))!, idOf(2));
    assert.equal(await queue.adopt(copy), true);
    assert.deepEqual(await queue.liveBlobs([blobOf(1)]), new Set());
    assert.deepEqual(await queue.depth(NOW), []);
    assert.equal(await queue.forget(NOW + 1, 10), 2);
  });
}
