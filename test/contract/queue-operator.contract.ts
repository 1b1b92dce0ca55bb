/** What every queue driver promises to operators: listings, traces, retry, drop, depths, forgetting, blob references. */

import assert from 'node:assert/strict';
import {
  ALL,
  blobOf,
  claim,
  claimOne,
  idOf,
  ids,
  LEASE,
  message,
  NOW,
  plan,
  type QueueCase,
  refusal,
  run,
  verdict,
} from './queue-fixture.ts';

const ONE = plan(['spam']);
const TWO = plan(['authentication'], ['spam', 'authentication']);

export function queueOperatorContract(it: QueueCase): void {
  // Refusals
  it('a refusal is kept for traces', async (queue) => {
    await queue.refuse(refusal(1, { messageId: '<x@example.org>' }));
    const record = (await queue.show(idOf(1)))!;
    assert.deepEqual([record.state, record.accepted, record.finishedAt], ['refused', null, NOW + 1]);
    assert.deepEqual(record.refused, refusal(1, { messageId: '<x@example.org>' }));
    assert.deepEqual([record.jobs, record.verdicts, record.deliveries], [[], {}, []]);
    assert.deepEqual(await queue.depth(NOW), []);
  });
  it('a message with one recipient refused and others accepted shows both', async (queue) => {
    await queue.refuse(refusal(1));
    await queue.accept(message(1), ONE);
    const record = (await queue.show(idOf(1)))!;
    assert.equal(record.state, 'queued');
    assert.deepEqual([record.accepted, record.refused], [message(1), refusal(1)]);
    assert.deepEqual(ids(await queue.list({ limit: 10 })), [idOf(1)]);
    assert.deepEqual(await queue.list({ states: ['refused'], limit: 10 }), []);
  });

  // Listings
  it('lists newest first, by pages', async (queue) => {
    for (const i of [3, 1, 5, 2, 4]) await queue.accept(message(i), ONE);
    await queue.refuse(refusal(6));
    await queue.refuse(refusal(0));
    const first = await queue.list({ limit: 3 });
    assert.deepEqual(ids(first), [6, 5, 4].map(idOf));
    const second = await queue.list({ limit: 3, cursor: first.at(-1)!.queueId });
    assert.deepEqual(ids(second), [3, 2, 1].map(idOf));
    assert.deepEqual(ids(await queue.list({ limit: 3, cursor: idOf(1) })), [idOf(0)]);
    assert.deepEqual(await queue.list({ limit: 3, cursor: idOf(0) }), []);
  });
  it('a listing shows what show does', async (queue) => {
    for (let i = 1; i <= 45; i++) await queue.accept(message(i), ONE);
    const records = await queue.list({ limit: 100 });
    assert.equal(records.length, 45);
    for (const record of records) assert.deepEqual(record, await queue.show(record.queueId));
  });
  it('lists by state', async (queue) => {
    for (let i = 1; i <= 4; i++) await queue.accept(message(i), ONE);
    await queue.refuse(refusal(5));
    const jobs = await claim(queue, 'spam');
    await queue.settle(jobs[0]!, verdict('spam'));
    await queue.fail(jobs[1]!, 'broken', null);
    await queue.drop(idOf(3), 'spam run');
    const of = async (...states: Parameters<typeof queue.list>[0]['states'] & object) =>
      ids(await queue.list({ states, limit: 10 }));
    assert.deepEqual(await of('done'), [idOf(1)]);
    assert.deepEqual(await of('dead'), [idOf(2)]);
    assert.deepEqual(await of('dropped'), [idOf(3)]);
    assert.deepEqual(await of('queued'), [idOf(4)]);
    assert.deepEqual(await of('refused'), [idOf(5)]);
    assert.deepEqual(await of('queued', 'dead'), [4, 2].map(idOf));
    assert.deepEqual(await of('refused', 'done'), [5, 1].map(idOf));
    assert.deepEqual(await of(), []);
    assert.deepEqual(ids(await queue.list({ states: ['queued', 'dead'], cursor: idOf(4), limit: 1 })), [idOf(2)]);
  });
  it('lists what is at a stage, blocked jobs apart', async (queue) => {
    for (let i = 1; i <= 4; i++) await queue.accept(message(i), TWO);
    const jobs = await claim(queue, 'authentication');
    await queue.settle(jobs[0]!, verdict('authentication'));
    await queue.fail(jobs[1]!, 'broken', null);
    await queue.fail(jobs[2]!, 'later', NOW + 5);
    const at = async (stage: 'authentication' | 'spam') => ids(await queue.list({ stage, limit: 10 }));
    assert.deepEqual(await at('spam'), [idOf(1)]);
    assert.deepEqual(await at('authentication'), [4, 3, 2].map(idOf));
    assert.deepEqual(ids(await queue.list({ stage: 'authentication', states: ['dead'], limit: 10 })), [idOf(2)]);
    assert.deepEqual(ids(await queue.list({ stage: 'authentication', limit: 1, cursor: idOf(4) })), [idOf(3)]);
  });

  // Message-IDs
  it('finds records by Message-ID, newest first', async (queue) => {
    const messageId = '<same@example.org>';
    for (const i of [2, 9, 4]) await queue.accept(message(i, { messageId }), ONE);
    await queue.refuse(refusal(7, { messageId }));
    await queue.accept(message(8), ONE);
    assert.deepEqual(ids(await queue.findByMessageId(messageId)), [9, 7, 4, 2].map(idOf));
    assert.deepEqual(await queue.findByMessageId('<other@example.org>'), []);
  });
  it('messages without a Message-ID are not found by none', async (queue) => {
    await queue.accept(message(1, { messageId: '' }), ONE);
    assert.deepEqual(await queue.findByMessageId(''), []);
  });
  it('at most 100 records of one Message-ID', async (queue) => {
    const messageId = '<flood@example.org>';
    await Promise.all(Array.from({ length: 120 }, (_, i) => queue.accept(message(i, { messageId }), ONE)));
    const found = ids(await queue.findByMessageId(messageId));
    assert.equal(found.length, 100);
    assert.equal(found[0], idOf(119));
  });

  // Retry and drop
  it('retry makes dead and waiting jobs ready with their attempts reset', async (queue) => {
    await queue.accept(message(1), ALL);
    await queue.fail(await claimOne(queue, 'authentication'), 'broken', null);
    await queue.fail(await claimOne(queue, 'attachments'), 'later', NOW + 1_000_000);
    assert.equal(await queue.retry(idOf(1)), 2);
    assert.equal((await queue.show(idOf(1)))!.state, 'queued');
    assert.equal((await claimOne(queue, 'authentication')).attempt, 1);
    assert.equal((await claimOne(queue, 'attachments')).attempt, 1);
    assert.equal(await queue.retry(idOf(1)), 0);
  });
  it('retry of one stage leaves the others', async (queue) => {
    await queue.accept(message(1), ALL);
    await queue.fail(await claimOne(queue, 'authentication'), 'broken', null);
    await queue.fail(await claimOne(queue, 'attachments'), 'broken', null);
    assert.equal(await queue.retry(idOf(1), 'attachments'), 1);
    assert.equal((await queue.show(idOf(1)))!.state, 'dead');
    assert.deepEqual(await claim(queue, 'authentication'), []);
    await run(queue, 'attachments');
    assert.equal(await queue.retry(idOf(1), 'authentication'), 1);
    await run(queue, 'authentication', 'spam', 'placement', 'delivery');
    assert.equal((await queue.show(idOf(1)))!.state, 'done');
  });
  it('there is nothing to retry of messages that are unknown, done or fine', async (queue) => {
    assert.equal(await queue.retry(idOf(9)), 0);
    await queue.accept(message(1), ONE);
    assert.equal(await queue.retry(idOf(1)), 0);
    await run(queue, 'spam');
    assert.equal(await queue.retry(idOf(1)), 0);
  });
  it('a dropped message runs no more, and its trace stays', async (queue, { clock }) => {
    await queue.accept(message(1), TWO);
    const job = await claimOne(queue, 'authentication');
    clock.now = NOW + 77;
    assert.equal(await queue.drop(idOf(1), 'asked for by abuse@'), true);
    assert.equal(await queue.settle(job, verdict('authentication')), false);
    assert.deepEqual(await claim(queue, 'authentication', NOW + LEASE), []);
    const record = (await queue.show(idOf(1)))!;
    assert.deepEqual([record.state, record.finishedAt], ['dropped', NOW + 77]);
    assert.deepEqual(record.accepted, message(1));
    for (const info of record.jobs) assert.match(info.lastError!, /asked for by abuse@/);
    assert.deepEqual(await queue.depth(NOW), []);
    assert.equal(await queue.drop(idOf(1), 'again'), false);
    assert.equal(await queue.retry(idOf(1)), 0);
  });
  it('a dead message can be dropped; a finished or unknown one cannot', async (queue) => {
    await queue.accept(message(1), ONE);
    await queue.fail(await claimOne(queue, 'spam'), 'broken', null);
    assert.equal(await queue.drop(idOf(1), 'old'), true);
    await queue.accept(message(2), ONE);
    await run(queue, 'spam');
    assert.equal(await queue.drop(idOf(2), 'old'), false);
    assert.equal(await queue.drop(idOf(3), 'old'), false);
    assert.equal((await queue.show(idOf(2)))!.state, 'done');
  });

  // Depths
  it('depths count every open job and the age of the oldest', async (queue) => {
    for (let i = 1; i <= 5; i++) await queue.accept(message(i), TWO);
    const jobs = await claim(queue, 'authentication', NOW, 4);
    await queue.settle(jobs[0]!, verdict('authentication'));
    await queue.fail(jobs[1]!, 'later', NOW + 5);
    await queue.fail(jobs[2]!, 'broken', null);
    const depths = Object.fromEntries((await queue.depth(NOW + 1000)).map(({ stage, ...rest }) => [stage, rest]));
    assert.deepEqual(depths, {
      authentication: { blocked: 0, ready: 1, running: 1, waiting: 1, dead: 1, oldestMs: 998 },
      spam: { blocked: 4, ready: 1, running: 0, waiting: 0, dead: 0, oldestMs: 999 },
    });
  });
  it('a stage with nothing but blocked and dead jobs has no age', async (queue) => {
    await queue.accept(message(1), TWO);
    await queue.fail(await claimOne(queue, 'authentication'), 'broken', null);
    for (const depth of await queue.depth(NOW + 1000)) assert.equal(depth.oldestMs, 0, depth.stage);
  });

  // Blobs
  it('unfinished messages need their blobs', async (queue) => {
    for (let i = 1; i <= 4; i++) await queue.accept(message(i), ONE);
    const jobs = await claim(queue, 'spam');
    await queue.settle(jobs[0]!, verdict('spam'));
    await queue.fail(jobs[1]!, 'broken', null);
    await queue.drop(idOf(3), 'no');
    const asked = [1, 2, 3, 4, 5].map(blobOf);
    assert.deepEqual(await queue.liveBlobs(asked), new Set([2, 4].map(blobOf)));
    assert.deepEqual(await queue.liveBlobs([]), new Set());
  });
  it('a blob of two messages is needed until both have finished', async (queue) => {
    await queue.accept(message(1), ONE);
    await queue.accept(message(2, { blob: blobOf(1) }), ONE);
    const jobs = await claim(queue, 'spam');
    await queue.settle(jobs[0]!, verdict('spam'));
    assert.deepEqual(await queue.liveBlobs([blobOf(1)]), new Set([blobOf(1)]));
    await queue.settle(jobs[1]!, verdict('spam'));
    assert.deepEqual(await queue.liveBlobs([blobOf(1)]), new Set());
  });
  it('blobs that a verdict names are needed as long as the message is unfinished', async (queue) => {
    await queue.accept(message(1), TWO);
    const facts = {
      parts: [
        { ref: blobOf(70), size: 5 },
        { ref: blobOf(71), size: 6 },
      ],
    };
    await queue.settle(await claimOne(queue, 'authentication'), verdict('authentication', { facts }));
    assert.deepEqual(await queue.liveBlobs([70, 71, 72].map(blobOf)), new Set([70, 71].map(blobOf)));
    await run(queue, 'spam');
    assert.deepEqual(await queue.liveBlobs([70, 71].map(blobOf)), new Set());
  });

  // Forgetting
  it('forgets finished records older than a time, oldest first, up to a limit', async (queue, { clock }) => {
    for (let i = 1; i <= 6; i++) {
      await queue.accept(message(i), ONE);
      clock.now = NOW + i;
      if (i < 5) await queue.settle(await claimOne(queue, 'spam', clock.now), verdict('spam'));
      else if (i === 5) await queue.drop(idOf(5), 'no');
    }
    await queue.refuse(refusal(7));
    assert.equal(await queue.forget(NOW + 4, 2), 2);
    assert.equal(await queue.show(idOf(1)), undefined);
    assert.equal(await queue.show(idOf(2)), undefined);
    assert.equal(await queue.forget(NOW + 4, 100), 1);
    assert.deepEqual(ids(await queue.list({ limit: 10 })), [7, 6, 5, 4].map(idOf));
    assert.equal(await queue.forget(NOW + 1_000_000, 100), 3);
    assert.deepEqual(ids(await queue.list({ limit: 10 })), [idOf(6)]);
    assert.equal(await queue.forget(NOW + 1_000_000, 100), 0);
    assert.deepEqual(await queue.verify(false), []);
    await queue.settle(await claimOne(queue, 'spam', clock.now), verdict('spam'));
  });
  it('forgets many in one call', async (queue) => {
    await Promise.all(Array.from({ length: 450 }, (_, i) => queue.accept(message(i), ONE)));
    await Promise.all((await claim(queue, 'spam', NOW, 1000)).map((job) => queue.settle(job, verdict('spam'))));
    assert.equal(await queue.forget(NOW + 1, 430), 430);
    assert.equal((await queue.list({ limit: 100 })).length, 20);
  });
  it('a new message after a forgotten one starts from nothing', async (queue) => {
    await queue.accept(message(1), TWO);
    await run(queue, 'authentication', 'spam');
    await queue.forget(NOW + 1, 10);
    await queue.accept(message(2), TWO);
    const record = (await queue.show(idOf(2)))!;
    assert.deepEqual([record.verdicts, record.deliveries], [{}, []]);
    assert.deepEqual((await claimOne(queue, 'authentication')).verdicts, {});
  });
}
