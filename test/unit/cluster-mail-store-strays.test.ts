/** Contents of the cluster's mail store that were stored for a commit which never came to its point. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fenced, TemporaryError } from '../../core/mail/errors.ts';
import { append, blobOf, contentInput, DAY, INBOX } from '../contract/mail-store-fixtures.ts';
import { barrier, Moments } from '../property/mail-store-moments.ts';

const POINT = 'accounts.updateOne before';
const BLOB = blobOf('stray');
const stray = () => append({ content: contentInput({ blob: BLOB }) });

async function nothingIsLeft(world: Moments, days = 0): Promise<void> {
  await world.collect(days);
  assert.deepEqual([...(await world.all('contents')), ...(await world.all('dying'))], []);
  assert.equal((await world.other.liveBlobs([BLOB])).size, 0);
  assert.deepEqual(await world.other.verify(false), []);
}

test('an append that is over quota when it is evaluated again leaves nothing', async () => {
  const world = new Moments();
  const a = await world.account();
  a.store = world.process([[POINT, () => world.other.setQuota(a.id, 0, 0)]]);
  assert.equal(await a.why(stray()), 'quota');
  await nothingIsLeft(world);
});

test('an append that is a duplicate when it is evaluated again leaves nothing of its own', async () => {
  const world = new Moments();
  const a = await world.account();
  const first = append({ dedupe: 'key' });
  // The same owner in another process: the lease is its own, and so is the epoch.
  a.store = world.process([[POINT, () => world.other.commit(a.id, a.epoch, [first])]]);
  const again = await a.do(append({ dedupe: 'key', content: contentInput({ blob: BLOB }) }));
  assert.equal(again.duplicate, true);
  await world.collect();
  assert.deepEqual(
    (await world.all('contents')).map(({ number }) => number),
    [again.content],
  );
  assert.deepEqual(await a.uids(), [again.uid]);
});

test('an owner that is fenced at its commit point leaves nothing', async () => {
  const world = new Moments();
  const a = await world.account();
  a.store = world.process([
    [
      POINT,
      async () => {
        world.clock.now += 2 * DAY;
        await world.other.lease(a.id, 'other', 1000);
      },
    ],
  ]);
  await assert.rejects(a.commit(stray()), Fenced);
  await nothingIsLeft(world);
});

test('a commit that fails before its point leaves nothing', async () => {
  const world = new Moments();
  const a = await world.account();
  a.store = world.process([[POINT, () => Promise.reject(new TemporaryError('storeUnavailable'))]]);
  await assert.rejects(a.commit(stray()), TemporaryError);
  await nothingIsLeft(world);
});

test('what a process left that died before its commit point is found, though nobody comes to the account again', async () => {
  const world = new Moments();
  const a = await world.account();
  const { wait, met } = barrier();
  const dead = world.process([[POINT, wait]]);
  void dead.commit(a.id, a.epoch, [stray()]);
  await met;
  assert.equal((await world.other.liveBlobs([BLOB])).size, 1);
  await nothingIsLeft(world, 3);
});

test('also when the account had been left alone before', async () => {
  const world = new Moments();
  const a = await world.account();
  world.clock.now += 8 * DAY;
  await world.collect();
  const { wait, met } = barrier();
  const dead = world.process([[POINT, wait]]);
  const { epoch } = (await dead.lease(a.id, 'owner', 1000))!;
  void dead.commit(a.id, epoch, [stray()]);
  await met;
  await nothingIsLeft(world, 3);
});

test('also one that had its lease for days when it died', async () => {
  const world = new Moments();
  const a = await world.account();
  const { wait, met } = barrier();
  const dead = world.process([[POINT, wait]]);
  for (let day = 0; day < 3; day++) {
    await dead.lease(a.id, 'owner', DAY + 1);
    await world.collect();
    world.clock.now += DAY;
  }
  void dead.commit(a.id, a.epoch, [stray()]);
  await met;
  await nothingIsLeft(world, 3);
});

test('whatever number of contents was left by one that died, the next owner delivers', async () => {
  const world = new Moments();
  const a = await world.account();
  const { wait, met } = barrier();
  const dead = world.process([[POINT, wait]]);
  void dead.commit(
    a.id,
    a.epoch,
    Array.from({ length: 20 }, () => stray()),
  );
  await met;
  world.clock.now += 2 * DAY;
  a.epoch = (await world.other.lease(a.id, 'next', DAY))!.epoch;
  const { content } = await a.do(append());
  // It carries out its commits itself, and then the log need not name them any more.
  await a.do({ t: 'outbox', topic: 'feedback', key: 'k', payload: null });
  await a.do({ t: 'subscribe', name: 'next', subscribed: true });
  await world.collect();
  assert.deepEqual(
    (await world.all('contents')).map(({ number }) => number),
    [content],
  );
});

test('an owner that stood still for days before its commit point keeps its mail, though the collector has taken the content', async () => {
  const world = new Moments();
  const a = await world.account();
  const { messageId, ...rest } = contentInput();
  a.store = world.process([[POINT, () => world.collect(3)]]);
  const { content } = await a.do(append({ content: { messageId, ...rest } }));
  await world.collect(3);
  const [kept] = await world.other.contents(a.id, [content], ['messageId']);
  assert.equal(kept?.messageId, messageId);
  assert.equal((await world.all('contents')).length, 1);
  assert.deepEqual(await world.other.verify(false), []);
});

test('what was held up for days and has lost its content is not committed, since its blobs may be gone', async (t) => {
  const world = new Moments();
  const a = await world.account();
  const { now } = Date;
  a.store = world.process([
    [
      POINT,
      async () => {
        await world.collect(3);
        t.mock.method(Date, 'now', () => now() + 3 * DAY);
      },
    ],
  ]);
  await assert.rejects(a.commit(stray()), TemporaryError);
  assert.deepEqual(await a.uids(), []);
  await nothingIsLeft(world, 3);
});

test("a content is not taken for one's own when another owner has stored its own under the number", async () => {
  const world = new Moments();
  const a = await world.account();
  const deposed = barrier();
  const late = world.process([['contents.insertMany before', deposed.wait]]);
  const mine = contentInput();
  const theirs = late.commit(a.id, a.epoch, [append()]);
  await deposed.met;
  world.clock.now += 2 * DAY;
  const { epoch } = (await world.other.lease(a.id, 'next', DAY))!;
  const next = world.process([
    [
      POINT,
      async () => {
        await world.collect(3);
        deposed.open();
        await assert.rejects(theirs, Fenced);
      },
    ],
  ]);
  const { results } = await next.commit(a.id, epoch, [append({ content: mine })]);
  await world.collect();
  const [row] = await world.other.rows(a.id, INBOX, Uint32Array.of(1));
  const [content] = await world.other.contents(a.id, [row!.content], ['messageId']);
  assert.equal(content?.messageId, mine.messageId);
  assert.equal(results[0]!.ok, true);
  assert.equal((await world.all('contents')).length, 1);
});
