/** Small parts of the mesh: one session per maildrop, one leader, hints to who watches, commits that are asked for again. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Errors, ServiceBroker } from 'moleculer';
import { ClientError, Fenced, TemporaryError } from '../../core/mail/errors.ts';
import type { MailboxHint } from '../../core/mail/hints.ts';
import { accountId, mailboxId, modSeq } from '../../core/mail/ids.ts';
import type { Op } from '../../core/ports/mail-store.ts';
import { EmbeddedLockStore } from '../../drivers/embedded/lock-store.ts';
import { commit } from '../../mixins/commit.ts';
import { attachContext, type NodeContext } from '../../mixins/context.ts';
import { HintBus } from '../../mixins/hint-bus.ts';
import { HintHub } from '../../mixins/hint-hub.ts';
import { exclusively, Leader } from '../../mixins/leader.ts';
import { MaildropLocks } from '../../mixins/maildrop-locks.ts';
import type { Mesh } from '../../mixins/mesh.ts';
import { MemoryBus } from '../support/memory-bus.ts';

const unexpected = (error: unknown): never => assert.fail(error as Error);
const A = accountId('a');
const B = accountId('b');
const newLocks = () => {
  const clock = { now: 0 };
  return { clock, locks: new EmbeddedLockStore({ now: () => clock.now }) };
};
const mesh = (self: string): Mesh => ({ isShared: true, self }) as Mesh;

test('a maildrop is one session, on this node and on others', async () => {
  const { locks } = newLocks();
  let thereLives = true;
  const [here, there] = ['here', 'there'].map((self) => {
    const lives = (holder: string): boolean => holder !== 'there' || thereLives;
    return new MaildropLocks(locks, { self, isConnected: true, lives }, unexpected);
  });
  const release = await here!.acquire(A);
  assert.ok(release !== null);
  assert.equal(await here!.acquire(A), null);
  assert.equal(await there!.acquire(A), null);
  const other = await there!.acquire(B);
  assert.ok(other !== null);
  release();
  release();
  await new Promise(setImmediate);
  const second = await there!.acquire(A);
  assert.ok(second !== null);
  assert.equal(await here!.acquire(A), null);
  // A node that is gone gives nothing back.
  thereLives = false;
  const third = await here!.acquire(A);
  assert.ok(third !== null);
  for (const end of [second, third, other]) end();
});

test('a maildrop whose lock could not be asked for is free again', async () => {
  let broken = true;
  const failing = {
    take: async () => {
      if (broken) throw new TemporaryError('storeUnavailable');
      return true;
    },
    release: async () => undefined,
    holder: async () => undefined,
  };
  const alone = { self: 'here', isConnected: true, lives: () => true };
  const locks = new MaildropLocks(failing, alone, unexpected);
  await assert.rejects(locks.acquire(A), TemporaryError);
  broken = false;
  (await locks.acquire(A))!();
});

test('one leads; when it resigns another one does; alone by design, it always leads', async () => {
  const { locks } = newLocks();
  const one = new Leader('work', locks, mesh('one'));
  assert.deepEqual([await one.leads(), await new Leader('work', locks, mesh('two')).leads()], [true, false]);
  await one.resign();
  assert.equal(await new Leader('work', locks, mesh('two')).leads(), true);
  assert.equal(await new Leader('work', locks, { isShared: false, self: 'x' } as Mesh).leads(), true);
});

test('long work is done by one at a time, and its lock is given back also when it fails', async () => {
  const { locks } = newLocks();
  let end = (): void => undefined;
  const first = exclusively(
    'work',
    locks,
    'one',
    () => new Promise<string>((resolve) => (end = () => resolve('done'))),
  );
  await new Promise(setImmediate);
  assert.equal(await exclusively('work', locks, 'two', async () => 'never'), undefined);
  end();
  assert.equal(await first, 'done');
  await assert.rejects(exclusively('work', locks, 'two', () => Promise.reject(new Error('x'))));
  assert.equal(await exclusively('work', locks, 'one', async () => 'again'), 'again');
});

test('a hint comes once to each who watches the account, first of all a look for what was before; and nothing of others', async () => {
  const bus = new MemoryBus();
  const dropped: string[] = [];
  const nodes = ['one', 'two'].map((self) => {
    const hub = new HintHub(unexpected);
    return { hub, hints: new HintBus({ bus, mesh: 'm', self, hub, dropped: (detail) => dropped.push(detail) }) };
  });
  const [one, two] = nodes as [(typeof nodes)[0], (typeof nodes)[0]];
  const got: string[] = [];
  const listen = (name: string, hub: HintHub) => hub.of(A)((hint) => got.push(`${name} ${hint.modSeq}`));
  const stops = [listen('one', one.hub), listen('two', two.hub), listen('two again', two.hub)];
  assert.equal(bus.subscriptions, 2);
  await new Promise(setImmediate);
  assert.deepEqual(got.splice(0).sort(), ['one 0', 'two 0', 'two again 0']);
  const hint = (account: string, at: number): MailboxHint => ({
    account: accountId(account),
    modSeq: modSeq(at),
    mailboxes: [mailboxId('m')],
    listChanged: false,
  });
  one.hints.publish(hint('a', 7));
  one.hints.publish(hint('b', 8));
  assert.deepEqual(got.splice(0).sort(), ['one 7', 'two 7', 'two again 7']);
  bus.connect(false);
  one.hints.publish(hint('a', 8));
  bus.connect(true);
  await new Promise(setImmediate);
  await new Promise(setImmediate);
  // What was lost meanwhile is looked for.
  assert.deepEqual(got.sort(), ['one 0', 'one 8', 'two 0', 'two again 0']);
  for (const bytes of ['', 'x', '{}', '{"account":"../a","mailboxes":[]}', '[]', 'null'])
    bus.publish(`mailmesh.m.hint.${0}.x`, Buffer.from(bytes));
  const bucket: string[] = [];
  for (let i = 0; i < 256; i++) two.hints.watchBucket(i, ({ account }) => bucket.push(account));
  one.hints.publish(hint('c', 9));
  bus.publish('mailmesh.m.hint.3.c', Buffer.from('garbage'));
  assert.deepEqual(bucket, ['c']);
  assert.deepEqual(dropped, ['not a hint of ours']);
  for (const stop of stops) stop();
  assert.equal(bus.subscriptions, 256);
});

/** A broker whose mailbox actor answers what the test says, one after the other. */
async function asking(answers: (() => unknown)[], isShared = true) {
  const broker = new ServiceBroker({ logger: false });
  const requests: (string | undefined)[] = [];
  const timeouts: (number | null | undefined)[] = [];
  attachContext(broker, { mesh: { isShared } } as NodeContext);
  broker.createService({
    name: 'mailbox',
    actions: {
      commit(ctx) {
        requests.push((ctx.params as { request?: string }).request);
        timeouts.push(ctx.options.timeout);
        return answers.shift()!();
      },
    },
  });
  await broker.start();
  const run = (...ops: Op[]) => commit(broker, { account: A, ops, session: 's', by: 'user' });
  return { broker, requests, timeouts, run };
}

const copy: Op = { t: 'copy', from: mailboxId('x'), uids: Uint32Array.of(1), to: mailboxId('y') };
const flags: Op = { t: 'store', mailbox: mailboxId('x'), uids: Uint32Array.of(1), mode: 'add', flags: [] };
const fail = (error: Error) => () => {
  throw error;
};

test('a commit that met the wrong node, or lost its answer, is asked for again under one name', async () => {
  const { broker, requests, run } = await asking([
    fail(new TemporaryError('storeUnavailable', { passing: true })),
    fail(new Fenced()),
    fail(new Errors.RequestTimeoutError({ action: 'mailbox.commit', nodeID: 'x' })),
    fail(new Errors.RequestRejectedError({ action: 'mailbox.commit', nodeID: 'x' })),
    () => ({ modSeq: 1, results: [] }),
  ]);
  assert.deepEqual(await run(copy), { modSeq: 1, results: [] });
  assert.equal(requests.length, 5);
  assert.equal(new Set(requests).size, 1);
  assert.match(requests[0]!, /^[0-9a-z]{20}$/);
  await broker.stop();
});

test('what would only fail again is not asked for again, and what can be repeated needs no name', async () => {
  const { broker, requests, run } = await asking([
    fail(new ClientError('notFound')),
    fail(new TemporaryError('storeUnavailable')),
    () => ({ modSeq: 1, results: [] }),
    () => ({ modSeq: 2, results: [] }),
  ]);
  await assert.rejects(run(copy), ClientError);
  await assert.rejects(run(copy), TemporaryError);
  await run(flags);
  await run({ ...flags, unchangedSince: modSeq(1) });
  assert.deepEqual(
    requests.map((request) => request !== undefined),
    [true, true, false, true],
  );
  await broker.stop();
});

test('an answer is waited for the longer the more messages a commit names', async () => {
  const { broker, timeouts, run } = await asking([1, 2].map((at) => () => ({ modSeq: at, results: [] })));
  await run(copy);
  await run({ ...flags, uids: new Uint32Array(20_000) });
  assert.ok(timeouts[1]! >= timeouts[0]! + 19_000, String(timeouts));
  await broker.stop();
});

test('a node that is alone asks once, without a name', async () => {
  const { broker, requests, run } = await asking([fail(new Fenced())], false);
  await assert.rejects(run(copy), Fenced);
  assert.deepEqual(requests, [undefined]);
  await broker.stop();
});
