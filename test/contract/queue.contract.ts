/** What every queue driver promises (core/ports/queue.ts): custody, claims, leases, settling, failing. */

import assert from 'node:assert/strict';
import type { Stage } from '../../core/filter/verdict.ts';
import { MailError } from '../../core/mail/errors.ts';
import { queueAdoptContract } from './queue-adopt.contract.ts';
import { queueClaimersContract } from './queue-claimers.contract.ts';
import {
  ALL,
  casesOf,
  claim,
  claimOne,
  delivery,
  idOf,
  ids,
  LEASE,
  message,
  NOW,
  plan,
  type QueueFixture,
  run,
  verdict,
} from './queue-fixture.ts';
import { queueOperatorContract } from './queue-operator.contract.ts';

const TWO = plan(['authentication'], ['spam', 'authentication']);

export function queueContract(driver: string, make: () => Promise<QueueFixture>): void {
  const it = casesOf(driver, make);
  queueOperatorContract(it);
  queueClaimersContract(it);
  queueAdoptContract(it);

  it('a new queue is empty', async (queue) => {
    assert.deepEqual(await claim(queue, 'spam'), []);
    assert.deepEqual(await queue.list({ limit: 10 }), []);
    assert.deepEqual(await queue.depth(NOW), []);
    assert.equal(await queue.nextDue('spam'), null);
    assert.equal(await queue.show(idOf(1)), undefined);
    assert.deepEqual(await queue.verify(false), []);
  });
  it('an accepted message is kept exactly', async (queue) => {
    await queue.accept(message(1), ALL);
    const record = (await queue.show(idOf(1)))!;
    assert.deepEqual(record.accepted, message(1));
    assert.deepEqual([record.state, record.finishedAt, record.refused], ['queued', null, null]);
    assert.deepEqual(
      record.jobs.map(({ stage, needs, state, attempts, lastError }) => ({ stage, needs, state, attempts, lastError })),
      ALL.map(({ stage, needs }) => ({
        stage,
        needs,
        state: needs.length === 0 ? 'ready' : 'blocked',
        attempts: 0,
        lastError: null,
      })),
    );
    assert.deepEqual([record.verdicts, record.deliveries], [{}, []]);
  });
  it('the same queue id again changes nothing', async (queue) => {
    await queue.accept(message(1), ALL);
    await run(queue, 'authentication');
    await queue.accept(message(1, { subject: 'other' }), ALL);
    assert.deepEqual(await claim(queue, 'authentication'), []);
    assert.equal((await queue.show(idOf(1)))!.accepted!.subject, message(1).subject);
    assert.equal((await queue.list({ limit: 10 })).length, 1);
  });
  it('the same queue id twice at once is accepted once', async (queue) => {
    await Promise.all([queue.accept(message(1), ALL), queue.accept(message(1), ALL)]);
    assert.equal((await claim(queue, 'authentication')).length, 1);
  });
  it('a plan that cannot be run is refused', async (queue) => {
    await assert.rejects(queue.accept(message(1), plan(['spam', 'authentication'])), MailError);
    await assert.rejects(queue.accept(message(1), plan(['spam', 'spam'])), MailError);
    await assert.rejects(queue.accept(message(1), plan(['spam', 'placement'], ['placement', 'spam'])), MailError);
    await assert.rejects(queue.accept(message(1), plan(['spam'], ['spam'])), MailError);
    assert.equal(await queue.show(idOf(1)), undefined);
  });
  it('a plan may be in any order', async (queue) => {
    await queue.accept(message(1), plan(['spam', 'authentication'], ['authentication']));
    await run(queue, 'authentication', 'spam');
    assert.equal((await queue.show(idOf(1)))!.state, 'done');
  });

  // Claims
  it('a claim gives what a handler needs', async (queue) => {
    await queue.accept(message(1), ALL);
    const job = await claimOne(queue, 'authentication');
    assert.deepEqual([job.queueId, job.stage, job.attempt], [idOf(1), 'authentication', 1]);
    assert.deepEqual(job.message, message(1));
    assert.deepEqual([job.verdicts, job.deliveries], [{}, []]);
    const info = (await queue.show(idOf(1)))!.jobs[0]!;
    assert.deepEqual([info.state, info.attempts, info.dueAt], ['running', 1, NOW + LEASE]);
  });
  it('a claimed job is not given out again', async (queue) => {
    await queue.accept(message(1), ALL);
    await claimOne(queue, 'authentication');
    assert.deepEqual(await claim(queue, 'authentication'), []);
  });
  it('a blocked job is not given out', async (queue) => {
    await queue.accept(message(1), ALL);
    for (const stage of ['spam', 'placement', 'delivery'] as const) assert.deepEqual(await claim(queue, stage), []);
  });
  it('oldest first, and at most as many as asked for', async (queue) => {
    for (let i = 1; i <= 7; i++) await queue.accept(message(i), ALL);
    assert.deepEqual(ids(await claim(queue, 'authentication', NOW, 3)), [1, 2, 3].map(idOf));
    assert.deepEqual(ids(await claim(queue, 'authentication', NOW, 3)), [4, 5, 6].map(idOf));
    assert.deepEqual(ids(await claim(queue, 'authentication', NOW, 3)), [7].map(idOf));
  });
  it('an old job that waited goes before newer ones', async (queue) => {
    for (let i = 1; i <= 3; i++) await queue.accept(message(i), ALL);
    const [first] = await claim(queue, 'spam', NOW, 1).then(() => claim(queue, 'authentication', NOW, 1));
    await queue.fail(first!, 'later', NOW + 10);
    assert.deepEqual(ids(await claim(queue, 'authentication', NOW + 10, 2)), [1, 2].map(idOf));
  });
  it('claims at once never give one job twice', async (queue) => {
    for (let i = 0; i < 60; i++) await queue.accept(message(i), ALL);
    const claims = await Promise.all(Array.from({ length: 12 }, () => claim(queue, 'attachments', NOW, 7)));
    const all = ids(claims.flat());
    assert.equal(all.length, 60);
    assert.equal(new Set(all).size, 60);
  });
  it('stages of one message run side by side', async (queue) => {
    await queue.accept(message(1), ALL);
    const one = await claimOne(queue, 'authentication');
    const other = await claimOne(queue, 'attachments');
    assert.equal(await queue.settle(other, verdict('attachments')), true);
    assert.equal(await queue.settle(one, verdict('authentication')), true);
    assert.deepEqual(Object.keys((await claimOne(queue, 'spam')).verdicts).sort(), ['attachments', 'authentication']);
  });
  it('ten messages stuck in one stage do not hold an eleventh', async (queue) => {
    for (let i = 1; i <= 10; i++) await queue.accept(message(i), TWO);
    assert.equal((await claim(queue, 'authentication')).length, 10);
    await queue.accept(message(11), TWO);
    await run(queue, 'authentication', 'spam');
    assert.equal((await queue.show(idOf(11)))!.state, 'done');
  });

  // Leases
  it('a lease that has ended is given out again, with a new token', async (queue) => {
    await queue.accept(message(1), TWO);
    const first = await claimOne(queue, 'authentication');
    assert.deepEqual(await claim(queue, 'authentication', NOW + LEASE - 1), []);
    const second = await claimOne(queue, 'authentication', NOW + LEASE);
    assert.equal(second.attempt, 2);
    assert.notEqual(second.token, first.token);
    assert.equal(await queue.settle(first, verdict('authentication')), false);
    assert.equal(await queue.fail(first, 'late', NOW), false);
    assert.equal(await queue.extend(first, NOW + 9 * LEASE), false);
    assert.equal(await queue.settle(second, verdict('authentication')), true);
  });
  it('an ended lease holds until another claim is made', async (queue) => {
    await queue.accept(message(1), TWO);
    await queue.accept(message(2), TWO);
    const [, second] = await claim(queue, 'authentication');
    // Both have ended, and the one claim that is made takes the older.
    assert.deepEqual(ids(await claim(queue, 'authentication', NOW + LEASE, 1)), [idOf(1)]);
    assert.equal(await queue.settle(second!, verdict('authentication')), true);
  });
  it('a lease can be lengthened', async (queue) => {
    await queue.accept(message(1), TWO);
    const job = await claimOne(queue, 'authentication');
    assert.equal(await queue.extend(job, NOW + 3 * LEASE), true);
    assert.deepEqual(await claim(queue, 'authentication', NOW + 2 * LEASE), []);
    assert.equal(await queue.settle(job, verdict('authentication')), true);
    assert.equal(await queue.extend(job, NOW + 9 * LEASE), false);
  });
  it('claims are void after the queue was opened again; attempts are remembered', async (queue, fixture) => {
    await queue.accept(message(1), TWO);
    const job = await claimOne(queue, 'authentication');
    const again = await fixture.reopen();
    assert.equal(await again.settle(job, verdict('authentication')), false);
    const second = await claimOne(again, 'authentication');
    assert.equal(second.attempt, 2);
    assert.deepEqual(second.message, message(1));
  });

  // Settling
  it('a job becomes claimable when all of its needs have settled, and gets their verdicts', async (queue) => {
    await queue.accept(message(1), ALL);
    await run(queue, 'authentication');
    assert.deepEqual(await claim(queue, 'spam'), []);
    const facts = { domain: 'example.org', n: 1.5, nothing: null, text: 'é\u0000"' };
    await queue.settle(await claimOne(queue, 'attachments'), verdict('attachments', { facts, skipped: true }));
    const job = await claimOne(queue, 'spam');
    assert.deepEqual(job.verdicts, {
      authentication: verdict('authentication'),
      attachments: verdict('attachments', { facts, skipped: true }),
    });
  });
  it('verdicts are there for whoever claims in the same breath', async (queue) => {
    for (let i = 0; i < 20; i++) await queue.accept(message(i), TWO);
    const jobs = await claim(queue, 'authentication');
    const settling = jobs.map((job) => queue.settle(job, verdict('authentication', { result: job.queueId })));
    const claimed = (await Promise.all([claim(queue, 'spam'), ...settling, claim(queue, 'spam')])).flat();
    const found = [...claimed, ...(await claim(queue, 'spam'))].filter((one) => typeof one === 'object');
    assert.equal(found.length, 20);
    for (const job of found) assert.equal(job.verdicts.authentication?.result, job.queueId);
  });
  it('settling twice works once', async (queue) => {
    await queue.accept(message(1), TWO);
    const job = await claimOne(queue, 'authentication');
    const results = await Promise.all([1, 2, 3].map(() => queue.settle(job, verdict('authentication'))));
    assert.deepEqual(results.sort(), [false, false, true]);
    assert.equal(await queue.settle(job, verdict('authentication', { result: 'other' })), false);
    assert.equal(await queue.fail(job, 'late', null), false);
    assert.equal((await queue.show(idOf(1)))!.verdicts.authentication!.result, 'pass');
  });
  it('a token proves its own job alone', async (queue) => {
    await queue.accept(message(1), ALL);
    const [one, other] = [await claimOne(queue, 'authentication'), await claimOne(queue, 'attachments')];
    assert.equal(await queue.settle({ ...one, stage: 'attachments' }, verdict('attachments')), false);
    for (const token of ['', 'x', '0.0', `${one.token}0`, one.token.repeat(9), '__proto__'])
      assert.equal(await queue.settle({ ...one, token }, verdict('authentication')), false, token);
    assert.equal(await queue.settle(one, verdict('authentication')), true);
    assert.equal(await queue.settle(other, verdict('attachments')), true);
  });
  it('the last settled job finishes the message', async (queue, { clock }) => {
    await queue.accept(message(1), ALL);
    await run(queue, 'authentication', 'attachments', 'spam', 'placement');
    assert.equal((await queue.show(idOf(1)))!.state, 'queued');
    clock.now = NOW + 500;
    const made = [delivery('alice@mail.localhost'), delivery('bob@mail.localhost', { outcome: 'refused', uid: null })];
    assert.equal(await queue.settle(await claimOne(queue, 'delivery'), verdict('delivery'), made), true);
    const record = (await queue.show(idOf(1)))!;
    assert.deepEqual([record.state, record.finishedAt], ['done', NOW + 500]);
    assert.deepEqual(record.deliveries, made);
    assert.deepEqual(Object.keys(record.verdicts), ['authentication', 'attachments', 'spam', 'placement', 'delivery']);
    for (const job of record.jobs) assert.deepEqual([job.state, job.attempts, job.lastError], ['done', 1, null]);
    assert.deepEqual(record.jobs.at(-1)!.needs, ALL.at(-1)!.needs);
  });

  // Failing
  it('a failed try runs again when it is due, and not before', async (queue) => {
    await queue.accept(message(1), TWO);
    assert.equal(await queue.fail(await claimOne(queue, 'authentication'), 'no DNS', NOW + 1000), true);
    const info = (await queue.show(idOf(1)))!.jobs[0]!;
    assert.deepEqual([info.state, info.attempts, info.dueAt, info.lastError], ['waiting', 1, NOW + 1000, 'no DNS']);
    assert.equal(await queue.nextDue('authentication'), NOW + 1000);
    assert.deepEqual(await claim(queue, 'authentication', NOW + 999), []);
    const job = await claimOne(queue, 'authentication', NOW + 1000);
    assert.equal(job.attempt, 2);
    assert.equal(await queue.nextDue('authentication'), null);
    await queue.settle(job, verdict('authentication'));
    assert.deepEqual(
      [(await queue.show(idOf(1)))!.jobs[0]!.attempts, (await queue.show(idOf(1)))!.jobs[0]!.lastError],
      [2, 'no DNS'],
    );
  });
  it('the earliest of those that wait is the next due', async (queue) => {
    for (let i = 1; i <= 3; i++) await queue.accept(message(i), TWO);
    for (const [i, job] of (await claim(queue, 'authentication')).entries())
      await queue.fail(job, 'no', NOW + [300, 100, 200][i]!);
    assert.equal(await queue.nextDue('authentication'), NOW + 100);
    assert.equal(await queue.nextDue('spam'), null);
  });
  it('three failures, then a success: settled exactly once', async (queue) => {
    await queue.accept(message(1), TWO);
    for (let attempt = 1; attempt <= 3; attempt++) {
      const job = await claimOne(queue, 'authentication', NOW + attempt);
      assert.equal(job.attempt, attempt);
      assert.equal(await queue.fail(job, `try ${attempt}`, NOW + attempt + 1), true);
      assert.equal(await queue.fail(job, 'again', NOW), false);
    }
    const job = await claimOne(queue, 'authentication', NOW + 4);
    assert.equal(await queue.settle(job, verdict('authentication')), true);
    await run(queue, 'spam');
    assert.equal((await queue.show(idOf(1)))!.state, 'done');
  });
  it('deliveries of a failed try are known to the next', async (queue, fixture) => {
    await queue.accept(message(1), plan(['delivery']));
    const [one, two] = [delivery('a@mail.localhost'), delivery('b@mail.localhost')];
    await queue.fail(await claimOne(queue, 'delivery'), 'half', NOW, [one]);
    assert.deepEqual((await claimOne(queue, 'delivery')).deliveries, [one]);
    const again = await fixture.reopen();
    const job = await claimOne(again, 'delivery');
    assert.deepEqual(job.deliveries, [one]);
    await again.settle(job, verdict('delivery'), [two]);
    assert.deepEqual((await again.show(idOf(1)))!.deliveries, [one, two]);
  });
  it('a job that gave up makes its message dead, and blocks what needs it', async (queue) => {
    await queue.accept(message(1), ALL);
    assert.equal(await queue.fail(await claimOne(queue, 'authentication'), 'broken', null), true);
    const record = (await queue.show(idOf(1)))!;
    assert.deepEqual([record.state, record.finishedAt], ['dead', null]);
    assert.deepEqual([record.jobs[0]!.state, record.jobs[0]!.lastError], ['dead', 'broken']);
    assert.deepEqual(await claim(queue, 'authentication', NOW * 2), []);
    await run(queue, 'attachments');
    assert.deepEqual(await claim(queue, 'spam'), []);
    assert.equal((await queue.show(idOf(1)))!.state, 'dead');
  });
  it('a very long error is kept, if shortened', async (queue) => {
    await queue.accept(message(1), TWO);
    await queue.fail(await claimOne(queue, 'authentication'), 'x'.repeat(1_000_000), null);
    assert.match((await queue.show(idOf(1)))!.jobs[0]!.lastError!, /^x{500,10000}$/);
  });

  // Hints
  it('listeners hear of jobs that become ready', async (queue) => {
    const heard: Stage[] = [];
    const stop = queue.onReady((stage) => heard.push(stage));
    const next = async () => {
      await new Promise((resolve) => setImmediate(resolve));
      return heard.splice(0).sort();
    };
    await queue.accept(message(1), ALL);
    assert.deepEqual(await next(), ['attachments', 'authentication']);
    await run(queue, 'authentication');
    assert.deepEqual(await next(), []);
    await run(queue, 'attachments');
    assert.deepEqual(await next(), ['spam']);
    await queue.fail(await claimOne(queue, 'spam'), 'no', null);
    assert.deepEqual(await next(), []);
    await queue.retry(idOf(1));
    assert.deepEqual(await next(), ['spam']);
    stop();
    await queue.accept(message(2), ALL);
    assert.deepEqual(await next(), []);
  });

  // Durability
  it('everything acknowledged is there after a kill', async (queue, fixture) => {
    for (let i = 1; i <= 30; i++) await queue.accept(message(i), ALL);
    for (const job of await claim(queue, 'authentication', NOW, 20)) await queue.settle(job, verdict('authentication'));
    const [first] = await claim(queue, 'attachments', NOW, 1);
    await queue.fail(first!, 'broken', null);
    const again = await fixture.afterKill();
    assert.deepEqual(await again.verify(false), []);
    assert.equal((await again.list({ limit: 100 })).length, 30);
    assert.equal((await claim(again, 'authentication')).length, 10);
    assert.equal((await claim(again, 'attachments')).length, 29);
    assert.equal((await again.show(idOf(1)))!.state, 'dead');
    assert.deepEqual((await again.show(idOf(20)))!.verdicts.authentication, verdict('authentication'));
  });
  it('a backup is a queue of its own', async (queue, fixture) => {
    for (let i = 1; i <= 5; i++) await queue.accept(message(i), TWO);
    await claim(queue, 'authentication', NOW, 2);
    const copy = await fixture.fromBackup();
    assert.deepEqual(await copy.verify(false), []);
    assert.equal((await claim(copy, 'authentication')).length, 5);
    assert.equal((await claim(queue, 'authentication')).length, 3);
  });
}
