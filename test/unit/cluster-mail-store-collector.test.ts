/** The collector of the cluster's mail store beside owners at work, and beside what it can't handle. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TemporaryError } from '../../core/mail/errors.ts';
import { type AccountId, modSeq } from '../../core/mail/ids.ts';
import type { Op } from '../../core/ports/mail-store.ts';
import type { AccountDoc, CommitDoc, SweepDoc } from '../../drivers/cluster/mail-store-schema.ts';
import { append, DAY, INBOX, JUNK, START, type TestAccount, uidRange, uids } from '../contract/mail-store-fixtures.ts';
import { barrier, type Meeting, Moments } from '../property/mail-store-moments.ts';

const expunge = (list: Uint32Array | null = null): Op => ({
  ...{ t: 'expunge', mailbox: INBOX, uids: list, onlyDeleted: false },
});
/** Its commit is carried out before it is answered. */
const atOnce = (key: string): Op => ({ t: 'outbox', topic: 'feedback', key, payload: null });

const accounts = (world: Moments) => world.mongo.collection<AccountDoc>('accounts');
const docOf = async (world: Moments, id: AccountId): Promise<AccountDoc> =>
  (await accounts(world).findOne({ _id: id }))! as AccountDoc;

/** Its log names something that is not there. */
async function damage(world: Moments, { id }: TestAccount, due = 0): Promise<void> {
  const { modSeq: m } = await docOf(world, id);
  const log = [{ m: m + 1, due, spill: 'gone', parts: 1 }];
  await accounts(world).updateOne({ _id: id }, { $set: { modSeq: m + 1, due, log } });
}

test('an account that cannot be read is passed over and told, and the others are collected', async () => {
  const world = new Moments();
  const bad = await world.account();
  await bad.do(append());
  await bad.do(expunge());
  // What the collector looks for in the collections is there already.
  await bad.commit(append(), atOnce('first'));
  const good = await world.account();
  await good.do(append());
  await good.do(expunge());
  await damage(world, bad);
  await assert.rejects(
    world.other.gc(START, Number.POSITIVE_INFINITY),
    (error) => error instanceof TemporaryError && String(error.facts.detail).includes(bad.id),
  );
  const { key } = await docOf(world, good.id);
  assert.deepEqual(
    (await world.all('contents')).filter(({ _id }) => _id.startsWith(key)),
    [],
  );
});

test('accounts that cannot be carried out do not keep others from it', async () => {
  const world = new Moments();
  for (let i = 0; i < 25; i++) await damage(world, await world.account());
  const good = await world.account();
  await good.do(append());
  await good.do(expunge());
  await assert.rejects(world.other.gc(START, Number.POSITIVE_INFINITY), TemporaryError);
  const { applied, modSeq: m } = await docOf(world, good.id);
  assert.equal(applied, m);
  assert.deepEqual(await world.all('contents'), []);
});

test('a run that is cut goes on where it was, so that what takes all the time is no wall', async () => {
  const world = new Moments();
  for (let i = 0; i < 25; i++) await damage(world, await world.account());
  const good = await world.account();
  await good.do(append());
  await good.do(expunge());
  for (let run = 0; run < 30; run++) await world.other.gc(START, 0).catch(() => {});
  assert.deepEqual(await world.all('contents'), []);
});

test('parts of commits that are in use do not keep those from being found that are not', async () => {
  const world = new Moments();
  const a = await world.account();
  const { key, modSeq: m } = await docOf(world, a.id);
  const commits = world.mongo.collection<CommitDoc>('commits');
  const put = (spill: string, at: number) =>
    commits.insertOne({
      ...{ _id: `${key}.${spill}.0`, account: key, at },
      ...{ rows: [], mailboxes: [], subscriptions: [], receipts: [], outbox: [], dying: [] },
    });
  for (let i = 0; i < 25; i++) await put(`s${i}`, i);
  await put('lost', 30);
  const log = Array.from({ length: 25 }, (_, i) => ({ m, due: 0, spill: `s${i}`, parts: 1 }));
  await accounts(world).updateOne({ _id: a.id }, { $set: { log, applied: m, due: Number.MAX_SAFE_INTEGER } });
  await world.collect();
  assert.deepEqual(
    (await world.all('commits')).map(({ _id }) => _id).filter((id) => id.includes('lost')),
    [],
  );
  assert.equal((await world.all('commits')).length, 25);
});

test('an owner that stood still for days between the parts of a commit and its point loses none of them', async () => {
  const world = new Moments();
  const a = await world.account();
  const { wait } = barrier();
  // It dies behind the point, before it has carried anything out.
  a.store = world.process([
    ['accounts.updateOne before', () => world.collect(3)],
    ['subscriptions.bulk before', wait],
  ]);
  const names = ['p', 'q'].map((letter) => letter.repeat(20_000));
  await a.commit(...names.map((name): Op => ({ t: 'subscribe', name, subscribed: true })));
  assert.deepEqual(await world.other.subscriptions(a.id), names);
  await world.collect(3);
  assert.deepEqual(await world.all('commits'), []);
});

test('a mailbox that is changed all the time is swept once in a round', async () => {
  const world = new Moments();
  const a = await world.account(world.process([], { tombstonesKept: 2 }));
  await a.fill(5);
  await a.commit(expunge(), atOnce('first'));
  const sweeps = world.mongo.collection<SweepDoc>('sweeps');
  let reset = 0;
  const again = async (): Promise<void> => {
    if (++reset > 20) throw new Error('it goes on and on');
    await sweeps.updateMany({}, { $set: { due: -reset } });
  };
  const collector = world.process(
    [
      ['sweeps.updateOne before', again],
      ['sweeps.deleteOne before', again],
    ],
    { always: true, tombstonesKept: 2 },
  );
  assert.equal(await collector.gc(START, Number.POSITIVE_INFINITY), false);
  assert.equal(reset, 1);
});

test('however many contents die, the account is changed a few times only', async () => {
  const world = new Moments();
  const a = await world.account();
  await a.fill(900);
  await a.do(expunge());
  const { rev } = await docOf(world, a.id);
  await world.collect();
  assert.deepEqual(await world.all('contents'), []);
  const changes = (await docOf(world, a.id)).rev - rev;
  assert(changes <= 2, `${changes} changes`);
});

test('a content is not forgotten when it is looked at while its expunge is half carried out', async () => {
  const world = new Moments();
  const { wait, open, met } = barrier();
  const owner = world.process([]);
  const a = await world.account(owner);
  await a.commit(append(), atOnce('first'));
  const stuck = world.process([['messages.bulk before', wait]]);
  let expunged: Promise<unknown> = Promise.resolve();
  const collector = world.process([
    [
      'dying.find before',
      async () => {
        expunged = stuck.commit(a.id, a.epoch, [expunge(), atOnce('l')]);
        await met;
        while ((await world.all('dying')).length === 0);
      },
    ],
  ]);
  await collector.gc(START, Number.POSITIVE_INFINITY);
  open();
  await expunged;
  // From here on the log need not name it any more.
  await stuck.commit(a.id, a.epoch, [{ t: 'subscribe', name: 'next', subscribed: true }]);
  await world.collect(3);
  assert.deepEqual(await world.all('contents'), []);
  assert.deepEqual(await world.other.verify(false), []);
});

test('a deleted mailbox is remembered while its deletion is half carried out', async () => {
  const world = new Moments();
  const a = await world.account();
  await a.fill(3);
  await a.do({ t: 'move', from: INBOX, uids: uidRange(1, 3), to: JUNK });
  await world.collect();
  const { wait, open, met } = barrier();
  const stuck = world.process([['messages.bulk before', wait]]);
  let deleted: Promise<unknown> = Promise.resolve();
  const collector = world.process([
    [
      'sweeps.find before',
      async () => {
        deleted = stuck.commit(a.id, a.epoch, [{ t: 'deleteMailbox', mailbox: JUNK }, atOnce('first')]);
        await met;
        while (!(await world.all('sweeps')).some(({ _id }) => _id.endsWith(JUNK)));
      },
    ],
  ]);
  await collector.gc(START, Number.POSITIVE_INFINITY);
  open();
  await deleted;
  await world.collect();
  const { vanished } = await world.other.changes(a.id, null, modSeq(1));
  assert.equal(vanished.filter(({ mailbox }) => mailbox === JUNK).length, 3);
});

/** A collector, or a reader, that meets a MOVE each time when it has read half of the messages. */
async function moving(
  run: (world: Moments, a: TestAccount, process: Moments['other']) => Promise<void>,
): Promise<void> {
  const world = new Moments();
  const a = await world.account();
  // So many that a scan has to pause before the last one.
  await a.fill(120);
  await a.commit({ t: 'copy', from: INBOX, uids: uids(1), to: INBOX }, atOnce('first'));
  let [from, to] = [INBOX, JUNK];
  let last = 121;
  let moves = 0;
  const move = async (): Promise<void> => {
    if (++moves > 8) return;
    const [result] = (await a.commit({ t: 'move', from, uids: uids(last), to }, atOnce(`${moves}`))).results;
    if (!result!.ok || result!.t !== 'move') assert.fail('not moved');
    last = result!.to[0]!;
    // With the next commit the log need not name it any more.
    await a.commit({ t: 'subscribe', name: `${moves}`, subscribed: true });
    [from, to] = [to, from];
  };
  await run(world, a, world.process([['messages.find within', move]], { always: true }));
  assert(moves > 0);
}

test('a message that is moved while it is looked for is found', () =>
  moving(async (world, a, reader) => {
    await a.do(expunge(uids(1)));
    await world.collect();
    const [row] = await world.other.rows(a.id, INBOX, uids(121));
    const [content] = await world.other.contents(a.id, [row!.content], ['messageId']);
    assert.deepEqual(
      (await reader.findByMessageId(a.id, content!.messageId)).map((found) => found.content),
      [row!.content],
    );
  }));

test('a content stays whose message is moved while the collector looks for it', () =>
  moving(async (world, a, collector) => {
    await a.commit(expunge(uids(1)), atOnce('expunged'));
    await a.commit({ t: 'subscribe', name: 'next', subscribed: true });
    await collector.gc(START, Number.POSITIVE_INFINITY);
    assert.deepEqual(await world.other.verify(false), []);
    assert.equal((await world.all('contents')).length, 120);
  }));

test('every message without a content is told, also those of the same number in two mailboxes', async () => {
  const world = new Moments();
  const a = await world.account();
  await a.do(append());
  await a.do({ t: 'copy', from: INBOX, uids: uids(1), to: JUNK });
  await world.collect(8);
  await world.mongo.collection<{ _id: string }>('contents').deleteMany({});
  const found = await world.other.verify(false);
  assert.deepEqual(
    found.filter(({ detail }) => detail.includes('content')).map(({ what }) => what.split(' ').at(-1)),
    ['INBOX', 'Junk'],
  );
});

test('verify names the account, or the content, that cannot be read, and looks at the others', async () => {
  const world = new Moments();
  const [odd, broken, good] = [await world.account(), await world.account(), await world.account()];
  for (const one of [odd, broken, good]) await one.do(append());
  await world.collect(8);
  const set = (of: TestAccount, table: string, fields: object) =>
    docOf(world, of.id).then(({ key }) =>
      world.mongo
        .collection<{ _id: string; account: string }>(table)
        .updateOne({ account: key }, { $set: fields as never }),
    );
  await set(odd, 'messages', { flags: 5 });
  await set(broken, 'contents', { layout: 'none', blobs: 5 });
  const { key } = await docOf(world, good.id);
  await world.mongo.collection<{ _id: string; account: string }>('contents').deleteMany({ account: key });
  const found = await world.other.verify(false);
  const told = (id: AccountId): string =>
    found
      .filter(({ what }) => what.includes(id))
      .map(({ what, detail }) => `${what}: ${detail}`)
      .join();
  assert.match(told(odd.id), /^account \w+: not verified: /);
  assert.match(told(broken.id), /content 1: its layout cannot be read/);
  assert.match(told(good.id), /refers to a content that is not there/);
});

test('a collector deletes nothing that another one has let live', async () => {
  const world = new Moments();
  const a = await world.account();
  const { content } = await a.do(append());
  await a.commit(expunge(), atOnce('expunged'));
  const refer = () => a.commit(append({ content: { ref: content } }), atOnce('used'));
  /** The process stands still before its first and its second write to the contents. */
  const writes = () => {
    const barriers = [barrier(), barrier()] as const;
    let number = 0;
    return { barriers, meet: async () => barriers[number++]?.wait() };
  };
  const [one, two] = [writes(), writes()];
  const collect = (meetings: readonly Meeting[]) =>
    world.process(meetings, { always: true }).gc(START, Number.POSITIVE_INFINITY);
  const end = barrier();
  let written = 0;
  const first = collect([
    ['contents.bulk before', one.meet],
    ['contents.bulk after', async () => ++written === 2 && end.wait()],
  ]);
  await one.barriers[0].met;
  // It has found the content unused. So does another one.
  let bumps = 0;
  const second = collect([
    ['contents.bulk before', two.meet],
    // When it has told the owner of its mark, the message is expunged again.
    ['accounts.updateOne after', async () => bumps++ === 0 && a.commit(expunge(), atOnce('expunged again'))],
  ]);
  await two.barriers[0].met;
  await refer();
  one.barriers[0].open();
  // It has found out that the content is used, and is about to take its mark away.
  await one.barriers[1].met;
  two.barriers[0].open();
  await two.barriers[1].met;
  one.barriers[1].open();
  await end.met;
  await refer();
  two.barriers[1].open();
  await second;
  end.open();
  await first;
  assert.deepEqual(await world.other.verify(false), []);
});

test('a message is made of a content that has one, also while the collector has its mark on it', async () => {
  const world = new Moments();
  const a = await world.account();
  const { content } = await a.do(append());
  await a.commit(expunge(), atOnce('expunged'));
  let writes = 0;
  const refer = () => a.do(append({ content: { ref: content } }));
  const collector = world.process([['contents.bulk before', async () => ++writes <= 2 && refer()]], { always: true });
  await collector.gc(START, Number.POSITIVE_INFINITY);
  assert.equal(writes, 2);
  assert.equal((await a.uids()).length, 2);
  assert.deepEqual(await world.other.verify(false), []);
});

test('a commit does not refer to a content that is deleted before its point', async () => {
  const world = new Moments();
  const a = await world.account();
  const { content } = await a.do(append());
  await a.commit(expunge(), atOnce('expunged'));
  const { wait, open, met } = barrier();
  const owner = world.process([['accounts.updateOne before', wait]]);
  let referred: ReturnType<typeof owner.commit> | undefined;
  const collector = world.process([
    [
      // The account was visited before.
      'dying.find before',
      () => {
        referred = owner.commit(a.id, a.epoch, [append({ content: { ref: content } })]);
        return met;
      },
    ],
  ]);
  await collector.gc(START, Number.POSITIVE_INFINITY);
  open();
  assert.deepEqual((await referred!).results, [{ ok: false, why: 'noSuchContent' }]);
  assert.deepEqual(await world.other.verify(false), []);
});

test('a large commit does not lose its parts between the look of the collector and its point', async () => {
  const world = new Moments();
  const a = await world.account();
  const names = ['p', 'q'].map((letter) => letter.repeat(20_000));
  const [point, dead] = [barrier(), barrier()];
  const owner = world.process([
    ['accounts.updateOne before', point.wait],
    ['subscriptions.bulk before', dead.wait],
  ]);
  let committed: Promise<unknown> | undefined;
  const collector = world.process([
    [
      // The account was visited before.
      'sweeps.find before',
      () => {
        const ops = names.map((name): Op => ({ t: 'subscribe', name, subscribed: true }));
        committed = owner.commit(a.id, a.epoch, ops);
        return point.met;
      },
    ],
  ]);
  await collector.gc(START + 3 * DAY, Number.POSITIVE_INFINITY);
  point.open();
  await committed;
  assert.deepEqual(await world.other.subscriptions(a.id), names);
});

test('a collector that stood still does not delete what got the number of what it wanted to delete', async () => {
  const world = new Moments();
  const a = await world.account();
  const dead = barrier();
  void world.process([['accounts.updateOne before', dead.wait]]).commit(a.id, a.epoch, [append()]);
  await dead.met;
  const last = barrier();
  let writes = 0;
  const late = world.process([['contents.bulk before', async () => ++writes === 2 && last.wait()]], { always: true });
  const collected = late.gc(START + 3 * DAY, Number.POSITIVE_INFINITY);
  await last.met;
  await world.collect(3);
  assert.deepEqual(await world.all('contents'), []);
  const { content } = await a.do(append());
  last.open();
  await collected;
  assert.deepEqual(
    (await world.all('contents')).map(({ number }) => number),
    [content],
  );
  assert.deepEqual(await world.other.verify(false), []);
});
