/**
 * Commits of very many messages between two nodes, on the product's whole way over a real NATS: `commit`, the broker, the
 * mailbox service and back. Only what the store would do is given, as it is not what is tested and would take minutes.
 */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { AccountId, MailboxId, ModSeq, Uid } from '../../core/mail/ids.ts';
import type { CommitResult, Op } from '../../core/ports/mail-store.ts';
import { Nats } from '../../drivers/cluster/nats.ts';
import { commit } from '../../mixins/commit.ts';
import { call } from '../../mixins/contracts.ts';
import { isPiece } from '../../mixins/packet-pieces.ts';
import { serversMissing } from '../support/cluster-servers.ts';
import { allSee, MeshWorld, type WorldNode } from './mesh-world.ts';

const skip = await serversMissing();

const COUNT = 300_000;
const NATS_BYTES_MAX = 1024 * 1024;
const account = 'account000000001' as AccountId;
const inbox = 'inbox00000000000' as MailboxId;
const archive = 'archive000000000' as MailboxId;
const flags = [
  '\\Seen',
  ...Array.from({ length: 30 }, (_, i) => `a-keyword-of-fifty-characters-or-so-${i}`.padEnd(50, 'x')),
];

/** As of a mailbox of many years, with most of its messages gone. */
const sparse = (seed: number): Uint32Array => {
  let state = seed;
  let uid = 0;
  return Uint32Array.from({ length: COUNT }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    uid += 1 + (state >>> 19);
    return uid;
  });
};

let world: MeshWorld;
let edge: WorldNode;
let mailbox: WorldNode;
let watcher: Nats;

before(async () => {
  if (skip !== false) return;
  world = await MeshWorld.open();
  const mailboxes = [
    { id: inbox, name: 'INBOX', role: 'inbox' },
    { id: archive, name: 'Archive', role: 'archive' },
  ] as const;
  await world.stores.mail.createAccount({ account, quotaBytes: null, quotaMessages: null, mailboxes });
  [edge, mailbox] = await Promise.all([world.node('edge', 'nodes'), world.node('node-a', 'mailbox')]);
  await allSee([edge, mailbox], 'mailbox', 1);
  watcher = new Nats({ url: world.server.url });
  await watcher.open();
});
after(async () => {
  await watcher?.close();
  await world?.close();
});

const droppedBy = async (node: WorldNode): Promise<number> =>
  (await node.context.metrics.packetsDropped.get()).values[0]?.value ?? 0;

test('a STORE and a COPY of 300,000 messages cross the mesh as they would be done on one machine', {
  skip,
}, async (t) => {
  const uids = sparse(1);
  const copies = sparse(2);
  const asked: (readonly Op[])[] = [];
  const result: CommitResult = {
    modSeq: 9 as ModSeq,
    results: [
      {
        ok: true,
        t: 'store',
        stored: Array.from(uids, (uid, i) => ({ uid: uid as Uid, flags, modSeq: (1_000 + (i % 7)) as ModSeq })),
        modified: new Uint32Array(),
      },
      { ok: true, t: 'copy', uidValidity: 1, from: uids, to: copies },
    ],
  };
  t.mock.method(world.stores.mail, 'commit', async (_account: AccountId, _epoch: number, ops: readonly Op[]) => {
    asked.push(ops);
    return result;
  });
  const seen = { REQ: { pieces: 0, bytesMax: 0 }, RES: { pieces: 0, bytesMax: 0 } };
  for (const [command, topic] of [
    ['REQ', 'REQ.node-a'],
    ['RES', 'RES.edge'],
  ] as const)
    watcher.connection!.subscribe(`MOL-mailmesh-test.${topic}`, {
      callback: (_, { data }) => {
        if (isPiece(data)) seen[command].pieces++;
        seen[command].bytesMax = Math.max(seen[command].bytesMax, data.length);
      },
    });
  await watcher.connection!.flush();
  const ops: Op[] = [
    { t: 'store', mailbox: inbox, uids, mode: 'add', flags },
    { t: 'copy', from: inbox, uids, to: archive },
  ];
  const began = performance.now();
  const answer = await commit(edge.broker, { account, ops, session: 'test', by: 'user' });
  const tookMs = performance.now() - began;
  // One try was enough.
  assert.deepEqual(asked, [ops]);
  assert.deepEqual(answer, result);
  await watcher.connection!.flush();
  t.diagnostic(`${Math.round(tookMs)} ms; ${JSON.stringify(seen)}`);
  for (const { pieces, bytesMax } of Object.values(seen)) {
    assert.ok(pieces > 1, `${pieces} pieces`);
    assert.ok(bytesMax <= NATS_BYTES_MAX);
  }
  assert.deepEqual([await droppedBy(edge), await droppedBy(mailbox)], [0, 0]);
});

test('a node of the version before, which does not ask for columns, gets rows', { skip }, async (t) => {
  const rows = Array.from({ length: 2_000 }, (_, i) => ({ uid: (i + 1) as Uid, flags, modSeq: 5 as ModSeq }));
  const result: CommitResult = {
    modSeq: 9 as ModSeq,
    results: [{ ok: true, t: 'store', stored: rows, modified: new Uint32Array() }],
  };
  t.mock.method(world.stores.mail, 'commit', async () => result);
  const uids = Uint32Array.from(rows, ({ uid }) => uid);
  const ops: Op[] = [{ t: 'store', mailbox: inbox, uids, mode: 'add', flags }];
  const params = { account, ops, session: 'test', by: 'user' } as const;
  assert.deepEqual(await call(edge.broker, 'mailbox.commit', params), result);
  const [packed] = (await call(edge.broker, 'mailbox.commit', { ...params, packed: true })).results;
  assert.ok('columns' in packed!);
});
