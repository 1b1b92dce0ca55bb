/** Who may write an account: leases taken, shared, renewed by writes, handed over and waited for; on a clock of the test's. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fenced, TemporaryError } from '../../core/mail/errors.ts';
import { accountId, modSeq } from '../../core/mail/ids.ts';
import { LEASE } from '../../core/mesh/lease.ts';
import type { CommitResult, Lease, LeaseHolder, MailStore } from '../../core/ports/mail-store.ts';
import { AccountOwner } from '../../mixins/actor.ts';

const A = accountId('a');
const B = accountId('b');

/** Leases of a store whose clock is the test's, and commits that end when they are told to. */
class Leases {
  now = 0;
  readonly held = new Map<string, { owner: string; epoch: number; until: number }>();
  readonly calls: string[] = [];
  readonly committed: string[] = [];
  /** Commits wait for it. */
  gate: Promise<void> = Promise.resolve();

  async lease(account: string, owner: string, ttlMs: number, gone?: string): Promise<Lease | undefined> {
    this.calls.push(`lease ${owner}`);
    const row = this.held.get(account) ?? { owner: '', epoch: 0, until: 0 };
    if (![owner, '', gone].includes(row.owner) && row.until > this.now) return undefined;
    const epoch = row.owner === owner ? row.epoch : row.epoch + 1;
    this.held.set(account, { owner, epoch, until: this.now + ttlMs });
    return { epoch, until: this.now + ttlMs };
  }
  async holder(account: string): Promise<LeaseHolder | undefined> {
    const row = this.held.get(account);
    return row === undefined || row.owner === '' || row.until <= this.now
      ? undefined
      : { owner: row.owner, leftMs: row.until - this.now };
  }
  async release(account: string, owner: string): Promise<void> {
    this.calls.push(`release ${owner}`);
    const row = this.held.get(account);
    if (row?.owner === owner) this.held.set(account, { ...row, owner: '', until: 0 });
  }
  async commit(account: string, epoch: number, _: unknown, request?: string): Promise<CommitResult> {
    await this.gate;
    if (this.held.get(account)?.epoch !== epoch) throw new Fenced();
    this.committed.push(request ?? 'unnamed');
    return { modSeq: modSeq(this.committed.length), results: [] };
  }
}

interface World {
  readonly leases: Leases;
  /** Names of the nodes that routing knows. */
  readonly alive: Set<string>;
  /** Whom routing names, by account; `one` where nobody is. */
  readonly route: Map<string, string>;
  owner(name: string): AccountOwner;
}

function world(): World {
  const leases = new Leases();
  const alive = new Set<string>();
  const route = new Map<string, string>();
  const owner = (name: string): AccountOwner => {
    alive.add(name);
    return new AccountOwner({
      store: leases as unknown as MailStore,
      owner: name,
      times: LEASE,
      waitMs: 10_000,
      elapsed: () => leases.now,
      sleep: async (ms) => {
        leases.now += ms;
        await new Promise(setImmediate);
      },
      random: () => 0.5,
      mine: (account) => (route.get(account) ?? 'one') === name,
      lives: (holder) => alive.has(holder),
    });
  };
  return { leases, alive, route, owner };
}

const passing = (error: unknown): boolean => error instanceof TemporaryError && error.facts.passing === true;

test('one lease serves all commits, is renewed by the first near its end, and is taken again once it ran out', async () => {
  const { leases, owner } = world();
  const one = owner('one');
  await Promise.all([one.commit(A, []), one.commit(A, []), one.commit(A, [])]);
  leases.now = LEASE.ttlMs - LEASE.renewMs;
  await one.commit(A, []);
  assert.deepEqual(leases.calls, ['lease one']);
  leases.now++;
  await one.commit(A, []);
  assert.equal(leases.held.get(A)?.until, leases.now + LEASE.ttlMs);
  assert.equal(one.count, 1);
  leases.now = 50_000;
  assert.equal(one.count, 0);
  await one.commit(A, []);
  assert.deepEqual(leases.calls, ['lease one', 'lease one', 'lease one']);
});

test('an account that another node is in charge of now is handed over after the commits that run', async () => {
  const { leases, owner, route } = world();
  const one = owner('one');
  const two = owner('two');
  let open = (): void => undefined;
  leases.gate = new Promise((resolve) => {
    open = resolve;
  });
  const running = one.commit(A, [], 'first');
  await new Promise(setImmediate);
  route.set(A, 'two');
  const settled = one.settle();
  const other = two.commit(A, [], 'second');
  // Whoever has not heard yet is told to look again.
  await assert.rejects(one.commit(A, [], 'late'), passing);
  assert.deepEqual(leases.committed, []);
  open();
  await Promise.all([running, settled, other]);
  assert.deepEqual(leases.committed, ['first', 'second']);
  assert.ok(leases.now < 1_000, `took ${leases.now} ms`);
  assert.equal(one.count, 0);
});

test('an idle account that another node is in charge of now is given back at once, the others stay', async () => {
  const { leases, owner, route } = world();
  const one = owner('one');
  await Promise.all([one.commit(A, []), one.commit(B, [])]);
  route.set(A, 'two');
  await one.settle();
  assert.deepEqual([leases.held.get(A)?.owner, leases.held.get(B)?.owner], ['', 'one']);
});

test('a holder that is gone is not waited for, and its late write is fenced', async () => {
  const { leases, owner, route, alive } = world();
  await owner('one').commit(A, []);
  alive.delete('one');
  route.set(A, 'two');
  leases.now = 1_000;
  await owner('two').commit(A, []);
  assert.ok(leases.now <= 1_000 + LEASE.spreadMs, `waited until ${leases.now}`);
  await assert.rejects(leases.commit(A, 1, []), Fenced);
});

test('nodes that do not see each other hold an account in turn, and none waits for long', async () => {
  const { leases, owner, alive } = world();
  // Without a way to the others, routing names each node itself.
  const here = owner('one');
  const there = new AccountOwner({
    ...{ store: leases as unknown as MailStore, owner: 'other', times: LEASE, waitMs: 10_000, random: () => 0.5 },
    elapsed: () => leases.now,
    sleep: async (ms) => {
      leases.now += ms;
      await new Promise(setImmediate);
    },
    ...{ mine: () => true, lives: () => false },
  });
  alive.clear();
  for (let turn = 0; turn < 20; turn++) {
    const begun = leases.now;
    await (turn % 2 === 0 ? here : there).commit(A, []);
    assert.ok(leases.now - begun <= LEASE.spreadMs, `waited ${leases.now - begun} ms`);
  }
  assert.equal(leases.committed.length, 20);
});

test('10,000 idle accounts cost no timers', async () => {
  const { leases, owner } = world();
  const one = owner('one');
  const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
  const before = timers();
  for (let i = 0; i < 10_000; i++) await one.commit(accountId(`idle ${i}`), []);
  assert.equal(one.count, 10_000);
  assert.equal(timers(), before);
  leases.now += LEASE.ttlMs;
  assert.equal(one.count, 0);
});

test('whoever waits too long for a lease is told that it will pass', async () => {
  const { leases, owner, alive } = world();
  leases.held.set(A, { owner: 'someone', epoch: 1, until: 60_000 });
  alive.add('someone');
  await assert.rejects(owner('one').commit(A, []), passing);
  assert.ok(leases.now >= 9_000 && leases.now <= 10_000);
});

test('a commit that was fenced is tried again under a new lease', async () => {
  const { leases, owner } = world();
  const one = owner('one');
  await one.commit(A, []);
  leases.held.set(A, { owner: '', epoch: 7, until: 0 });
  await one.commit(A, [], 'again');
  assert.equal(leases.held.get(A)?.epoch, 8);
  assert.equal(leases.committed.at(-1), 'again');
});

test('a node that drains gives all back, each after its running commits, and takes nothing more', async () => {
  const { leases, owner } = world();
  const one = owner('one');
  await Promise.all([one.commit(A, []), one.commit(B, [])]);
  const last = one.commit(B, [], 'last');
  await one.drain();
  await last;
  assert.deepEqual(
    [...leases.held.values()].map((row) => row.owner),
    ['', ''],
  );
  assert.equal(one.count, 0);
  await assert.rejects(one.commit(A, []), passing);
});
