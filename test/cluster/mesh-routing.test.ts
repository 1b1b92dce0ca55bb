/**
 * Who is in charge of an account, what happens to a commit on its way when that changes, and that hints reach whoever
 * watches: several nodes in this process with a real NATS between them (see mesh-world.ts).
 */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { MailboxHint } from '../../core/mail/hints.ts';
import type { AccountId, MailboxId } from '../../core/mail/ids.ts';
import { LEASE } from '../../core/mesh/lease.ts';
import type { Op } from '../../core/ports/mail-store.ts';
import { commit } from '../../mixins/commit.ts';
import { call } from '../../mixins/contracts.ts';
import type { Node } from '../../mixins/node.ts';
import { contentInput, uids } from '../contract/mail-store-fixtures.ts';
import { eventually } from '../support/clients.ts';
import { serversMissing } from '../support/cluster-servers.ts';
import { allSee, MeshWorld, type WorldNode } from './mesh-world.ts';

const skip = await serversMissing();
const options = { skip };

let world: MeshWorld;

before(async () => {
  if (skip === false) world = await MeshWorld.open();
});
after(() => world?.close());

const inbox = 'inbox00000000000' as MailboxId;
const archive = 'archive000000000' as MailboxId;
let made = 0;

async function newAccount(): Promise<AccountId> {
  const account = `account${String(++made).padStart(9, '0')}` as AccountId;
  const mailboxes = [
    { id: inbox, name: 'INBOX', role: 'inbox' },
    { id: archive, name: 'Archive', role: 'archive' },
  ] as const;
  await world.stores.mail.createAccount({ account, quotaBytes: null, quotaMessages: null, mailboxes });
  return account;
}

const append = (): Op => ({
  t: 'append',
  mailbox: inbox,
  content: contentInput(),
  flags: [],
  internalDate: 1,
  quota: 'enforce',
});
const write = (through: Node, account: AccountId, ...ops: Op[]) =>
  commit(through.broker, { account, ops, session: 'test', by: 'user' });
const ownerOf = async (account: AccountId): Promise<string | undefined> =>
  (await world.stores.mail.holder(account))?.owner.split('/')[0];

let edge: WorldNode;
let a: WorldNode;
let b: WorldNode;

test('nodes find each other without a list, and each account has one in charge whoever asks', options, async () => {
  [edge, a, b] = await Promise.all([
    world.node('edge', 'nodes,maintenance'),
    world.node('node-a', 'mailbox,search'),
    world.node('node-b', 'mailbox'),
  ]);
  await allSee([edge, a, b], 'mailbox', 2);
  const owners = new Set<string | undefined>();
  for (let i = 0; i < 20; i++) {
    const account = await newAccount();
    await write(edge, account, append());
    const owner = await ownerOf(account);
    owners.add(owner);
    for (const through of [a, b, edge]) await write(through, account, append());
    assert.equal(await ownerOf(account), owner);
    assert.equal((await world.stores.mail.account(account))?.usedMessages, 4);
  }
  assert.deepEqual([...owners].sort(), ['node-a', 'node-b']);
});

test('a node tells what it runs and how it is', options, async () => {
  const { items } = await call(edge.broker, 'nodes.list', {});
  assert.deepEqual(
    items.map(({ id, state, services }) => ({ id, state, services: services.join() })),
    [
      { id: 'edge', state: 'ready', services: 'nodes,maintenance' },
      { id: 'node-a', state: 'ready', services: 'mailbox,search' },
      { id: 'node-b', state: 'ready', services: 'mailbox' },
    ],
  );
  assert.ok(items[1]!.leases! + items[2]!.leases! >= 20);
});

test('a hint reaches whoever watches the account, on whatever node, and nobody else', options, async () => {
  const account = await newAccount();
  const other = await newAccount();
  const got: { node: string; hint: MailboxHint; at: number }[] = [];
  const stops = [edge, a, b].map((one) =>
    one.context.hints.of(account)((hint) => {
      if (hint.mailboxes.length > 0) got.push({ node: one.id, hint, at: performance.now() });
    }),
  );
  await Promise.all([edge, a, b].map((one) => one.nats.connection!.flush()));
  await write(edge, other, append());
  const { modSeq } = await write(a, account, append());
  const answered = performance.now();
  await eventually('three hints', () => (got.length === 3 ? true : undefined));
  assert.deepEqual(got.map((one) => one.node).sort(), ['edge', 'node-a', 'node-b']);
  assert.ok(got.every(({ hint }) => hint.account === account && hint.modSeq === modSeq && hint.mailboxes[0] === inbox));
  assert.ok(Math.max(...got.map(({ at }) => at)) - answered < 100);
  for (const stop of stops) stop();
});

test('a large commit and its large answer cross, though NATS takes 1 MB at most', options, async () => {
  const account = await newAccount();
  for (let i = 0; i < 4; i++) await write(a, account, ...Array.from({ length: 1_000 }, append));
  const all = Uint32Array.from({ length: 4_000 }, (_, i) => i + 1);
  // 1.5 MB of flags in the answer.
  const flags = Array.from({ length: 8 }, (_, i) => `a-keyword-of-fifty-characters-or-so-${i}`.padEnd(48, 'x'));
  const { results } = await write(
    edge,
    account,
    { t: 'store', mailbox: inbox, uids: all, mode: 'add', flags },
    { t: 'copy', from: inbox, uids: all, to: archive },
  );
  const [stored, copied] = results;
  assert.ok(stored?.ok === true && stored.t === 'store' && copied?.ok === true && copied.t === 'copy');
  assert.deepEqual([stored.stored.length, copied.from.length], [4_000, 4_000]);
});

test('what comes in and is not ours is dropped and counted, and nothing else happens', options, async () => {
  const garbage = [
    Buffer.alloc(0),
    Buffer.from('x'),
    Buffer.from('{'),
    Buffer.from('{"ver":"1","sender":"old"}'),
    Buffer.from('{"ver":"5"}'),
    Buffer.concat([Buffer.of(1), Buffer.from('not deflated')]),
    Buffer.alloc(900_000, 0x7b),
    Buffer.from('{"ver":"5","sender":"evil","services":5,"config":null}'),
    Buffer.from('{"ver":"5","sender":"evil","action":"mailbox.commit","id":"1","params":null}'),
  ];
  const before = (await a.context.metrics.packetsDropped.get()).values[0]?.value ?? 0;
  const account = await newAccount();
  const stop = a.context.hints.of(account)(() => undefined);
  await a.nats.connection!.flush();
  for (const packet of garbage)
    for (const command of ['INFO', 'REQ.node-a', 'RES.node-a', 'EVENT.node-a', 'HEARTBEAT', 'DISCONNECT', 'PING'])
      edge.nats.connection!.publish(`MOL-mailmesh-test.${command}`, packet);
  await edge.nats.connection!.flush();
  await eventually('dropped packets', async () =>
    ((await a.context.metrics.packetsDropped.get()).values[0]?.value ?? 0) > before + 10 ? true : undefined,
  );
  await write(edge, account, append());
  assert.equal((await world.stores.mail.account(account))?.usedMessages, 1);
  stop();
});

test('a node that comes takes its share over, and no commit fails meanwhile', options, async () => {
  const accounts = await Promise.all(Array.from({ length: 60 }, newAccount));
  await Promise.all(accounts.map((account) => write(edge, account, append())));
  const before = await Promise.all(accounts.map(ownerOf));
  let stopped = false;
  let written = 60;
  const load = accounts.slice(0, 12).map(async (account) => {
    while (!stopped) {
      await write(edge, account, append());
      written++;
    }
  });
  const c = await world.node('node-c', 'mailbox');
  await allSee([edge, a, b], 'mailbox', 3);
  await Promise.all(accounts.map((account) => write(edge, account, append())));
  written += 60;
  stopped = true;
  await Promise.all(load);
  const behind = await Promise.all(accounts.map(ownerOf));
  const moved = behind.filter((owner, i) => owner !== before[i]);
  assert.ok(moved.length > 8 && moved.length < 35, `${moved.length} of 60 moved`);
  assert.ok(moved.every((owner) => owner === 'node-c'));
  const states = await Promise.all(accounts.map((account) => world.stores.mail.account(account)));
  assert.equal(
    states.reduce((sum, state) => sum + state!.usedMessages, 0),
    written,
  );
  // It goes again: its accounts are handed over before it ends, and nobody notices.
  let slowest = 0;
  let gone = false;
  const more = accounts.slice(0, 12).map(async (account) => {
    while (!gone) {
      const began = performance.now();
      await write(edge, account, append());
      slowest = Math.max(slowest, performance.now() - began);
    }
  });
  await world.stop(c);
  gone = true;
  await Promise.all(more);
  assert.ok(slowest < 1_500, `a commit took ${slowest} ms`);
  assert.ok(!(await Promise.all(accounts.map(ownerOf))).includes('node-c'));
});

test(
  'accounts of a node that is gone without a word are served within 10 s, and nothing is doubled',
  options,
  async () => {
    const c = await world.node('node-c', 'mailbox');
    await allSee([edge, a, b], 'mailbox', 3);
    const accounts = await Promise.all(Array.from({ length: 30 }, newAccount));
    await Promise.all(accounts.map((account) => write(edge, account, append())));
    const theirs: AccountId[] = [];
    for (const account of accounts) if ((await ownerOf(account)) === 'node-c') theirs.push(account);
    assert.ok(theirs.length > 0);
    // In flight when the node goes: done, but the answer never comes.
    const copies = theirs.map((account) =>
      write(edge, account, { t: 'copy', from: inbox, uids: uids(1), to: archive }),
    );
    await c.vanish();
    const began = performance.now();
    await Promise.all(theirs.map((account) => write(edge, account, append())));
    const tookMs = performance.now() - began;
    await Promise.all(copies);
    assert.ok(tookMs < 10_000, `took ${tookMs} ms`);
    assert.ok(tookMs > LEASE.ttlMs / 4);
    for (const account of theirs) {
      const total = (await world.stores.mail.mailboxes(account)).find(({ id }) => id === archive)?.total;
      assert.equal(total, 1);
    }
    await world.stop(c);
  },
);

test(
  'while NATS is away a node that writes mailboxes is ready, one that does not is not; then all goes on',
  options,
  async () => {
    const front = await world.node('front', 'gateway,nodes');
    await eventually('a ready node', async () => {
      await front.context.readiness.refresh();
      return front.context.readiness.ready ? true : undefined;
    });
    await world.server.stop();
    await eventually('a node that says that it is not ready', async () => {
      await front.context.readiness.refresh();
      return front.context.readiness.ready ? undefined : true;
    });
    assert.ok(front.context.readiness.waitingFor.includes('nats'));
    assert.ok(a.context.readiness.ready);
    const account = await newAccount();
    const written = write(a, account, append());
    await world.server.start();
    await written;
    await eventually('the mesh again', async () => {
      await front.context.readiness.refresh();
      return front.context.readiness.ready ? true : undefined;
    });
    await write(edge, account, append());
    assert.equal((await world.stores.mail.account(account))?.usedMessages, 2);
  },
);

test('nodes whose database does not answer say so, and are not taken for gone', options, async () => {
  const asked = await world.node('asked', 'nodes');
  const asking = async (id: string) => (await call(asked.broker, 'nodes.list', {})).items.find((one) => one.id === id);
  await eventually('another node in the list', async () => ((await asking(b.id)) === undefined ? undefined : true));
  try {
    // As long as a node waits for its database.
    world.ping = () => new Promise((_, reject) => setTimeout(() => reject(new Error('no answer')), 2_000));
    for (const id of [asked.id, b.id])
      await eventually('a node that waits for the store', async () => {
        const { state, waitingFor } = (await asking(id))!;
        assert.notEqual(state, 'unreachable');
        return waitingFor.includes('store') ? true : undefined;
      });
  } finally {
    world.ping = () => Promise.resolve();
  }
});
