/** A transfer from one machine's stores to another's: all of it, once, however often it is cut off and run again. */

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { ClientError } from '../../core/mail/errors.ts';
import { EmbeddedBlobStore } from '../../drivers/embedded/blob-store.ts';
import { EmbeddedDirectory } from '../../drivers/embedded/directory.ts';
import { EmbeddedMailStore } from '../../drivers/embedded/mail-store.ts';
import { EmbeddedModelStore } from '../../drivers/embedded/model-store.ts';
import { EmbeddedQueue } from '../../drivers/embedded/queue.ts';
import { EmbeddedSampleStore } from '../../drivers/embedded/sample-store.ts';
import { transfer } from '../../mixins/transfer.ts';
import { account, credential } from '../contract/directory-fixture.ts';
import { ALICE, BOB, fill, pictureOf, refsOf, type TestStores } from '../support/transfer-world.ts';

const now = () => 1_790_000_000_000;
/** When mail is taken over there. */
const later = () => now() + 86_400_000;

async function openStores(folder: string, now: () => number): Promise<TestStores & { close(): Promise<void> }> {
  const stores = {
    directory: new EmbeddedDirectory({ folder, now }),
    blobs: new EmbeddedBlobStore({ folder, now }),
    mail: new EmbeddedMailStore({ folder, shards: 2, now }),
    queue: new EmbeddedQueue({ folder, now }),
    samples: new EmbeddedSampleStore({ folder }),
    models: new EmbeddedModelStore({ folder: join(folder, 'models') }),
  };
  const all = Object.values(stores);
  for (const store of all) await store.open();
  return {
    ...stores,
    close: async () => {
      for (const store of all) await store.close();
    },
  };
}

async function withTwo(work: (from: TestStores, to: TestStores) => Promise<void>): Promise<void> {
  const root = fs.mkdtempSync(join(tmpdir(), 'mailmesh-transfer-'));
  const [from, to] = [await openStores(join(root, 'a'), now), await openStores(join(root, 'b'), later)];
  try {
    await fill(from);
    await work(from, to);
  } finally {
    await from.close();
    await to.close();
    fs.rmSync(root, { recursive: true });
  }
}

const options = { owner: 'transfer', now };

test('transfer: everything arrives, in mailboxes of a new uidValidity, and a second run changes nothing', () =>
  withTwo(async (from, to) => {
    const before = await pictureOf(from);
    const parts = new Set<string>();
    const report = await transfer(from, to, { ...options, progress: ({ part }) => parts.add(part) });
    assert.deepEqual(await pictureOf(to), before);
    assert.deepEqual([report.accounts, report.damagedCount, report.busy, report.records], [2, 0, [], 2]);
    assert.deepEqual([...parts], ['accounts', 'queue', 'learning', 'directory']);
    for (const ref of await refsOf(from)) assert.notEqual(await to.blobs.stat(ref), undefined);
    const validity = async ({ mail }: TestStores) => (await mail.mailboxes(ALICE.id)).map((one) => one.uidValidity);
    const there = await validity(to);
    for (const [i, here] of (await validity(from)).entries()) assert(there[i]! > here);
    const state = await to.mail.account(ALICE.id);
    const again = await transfer(from, to, options);
    assert.deepEqual(await pictureOf(to), before);
    assert.equal((await to.mail.account(ALICE.id))?.modSeq, state?.modSeq);
    assert.deepEqual([again.messages, again.messagesKnown], [report.messages, report.messages]);
    assert.deepEqual(await pictureOf(from), before);
  }));

test('transfer: cut off anywhere it is gone on with', () =>
  withTwo(async (from, to) => {
    const before = await pictureOf(from);
    for (let failAt = 3; failAt < 400; failAt = Math.ceil(failAt * 1.7)) {
      let writes = 0;
      const failing = new Proxy(to.mail, {
        get: (target, name) => {
          const value = Reflect.get(target, name, target);
          if (name !== 'commit') return typeof value === 'function' ? value.bind(target) : value;
          return async (...args: Parameters<TestStores['mail']['commit']>) => {
            const result = await target.commit(...args);
            if (++writes === failAt) throw new Error('cut off');
            return result;
          };
        },
      });
      await transfer(from, { ...to, mail: failing }, options).catch((error: Error) => {
        assert.equal(error.message, 'cut off');
      });
    }
    await transfer(from, to, options);
    assert.deepEqual(await pictureOf(to), before);
  }));

test('transfer: it ends behind an account when it is told to, and nobody can log in yet', () =>
  withTwo(async (from, to) => {
    const stop = new AbortController();
    const report = await transfer(from, to, { ...options, signal: stop.signal, progress: () => stop.abort() });
    assert.equal(report.accounts, 1);
    assert.equal(await to.directory.countAccounts(), 0);
    await transfer(from, to, options);
    assert.deepEqual(await pictureOf(to), await pictureOf(from));
  }));

test('transfer: a name that is somebody else’s there ends it before anything is copied', () =>
  withTwo(async (from, to) => {
    await to.directory.addAccount(account('else', { address: 'both@example.org' }), credential('YQ=='));
    await assert.rejects(transfer(from, to, options), (error) => {
      assert(error instanceof ClientError);
      assert.equal(error.facts.address, 'both@example.org');
      return true;
    });
    assert.deepEqual(await to.mail.accounts(null, 10), []);
  }));

test('transfer: an account that is in use is left for the next run', () =>
  withTwo(async (from, to) => {
    await to.mail.createAccount({ account: BOB.id, quotaBytes: null, quotaMessages: null, mailboxes: [] });
    await to.mail.lease(BOB.id, 'a node', 60_000);
    const report = await transfer(from, to, options);
    assert.deepEqual(report.busy, [BOB.id]);
    await to.mail.release(BOB.id, 'a node');
    assert.deepEqual((await transfer(from, to, options)).busy, []);
    assert.deepEqual(await pictureOf(to), await pictureOf(from));
  }));

test('transfer: what a killed run still holds is waited for; what another run is at is opened to nobody', async () => {
  const root = fs.mkdtempSync(join(tmpdir(), 'mailmesh-transfer-'));
  let at = later();
  const [from, to] = [await openStores(join(root, 'a'), now), await openStores(join(root, 'b'), () => at)];
  try {
    await fill(from);
    await to.mail.createAccount({ account: BOB.id, quotaBytes: null, quotaMessages: null, mailboxes: [] });
    const lease = () => to.mail.lease(BOB.id, 'transfer-other', 30_000);
    await lease();
    const busy = await transfer(from, to, { ...options, wait: lease });
    assert.deepEqual(busy.busy, [BOB.id]);
    assert.deepEqual(await to.directory.accounts(null, 10), []);
    const wait = async (ms: number): Promise<void> => {
      at += ms;
    };
    const report = await transfer(from, to, { ...options, wait });
    assert.deepEqual(report.busy, []);
    assert.equal(at, later() + 30_001);
    const [before, after] = [await pictureOf(from), await pictureOf(to)];
    assert.deepEqual([after.accounts, after.mail], [before.accounts, before.mail]);
  } finally {
    await from.close();
    await to.close();
    fs.rmSync(root, { recursive: true });
  }
});

test('transfer: a message whose bytes are lost is told, and the others arrive', () =>
  withTwo(async (from, to) => {
    const [lost] = await refsOf(from);
    const damaged = new Proxy(from.blobs, {
      get: (target, name) => {
        if (name === 'stat') return async (ref: string) => (ref === lost ? undefined : target.stat(ref as never));
        const value = Reflect.get(target, name, target);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
    const report = await transfer({ ...from, blobs: damaged }, to, options);
    assert(report.damagedCount > 0);
    assert.match(report.damaged[0]!.what, /uid \d+$/);
    const inAll = (await from.mail.account(ALICE.id))!.usedMessages + (await from.mail.account(BOB.id))!.usedMessages;
    assert.equal(report.messages + report.damagedCount, inAll);
  }));

test('transfer: what users say over there later is no event of before', () =>
  withTwo(async (from, to) => {
    await transfer(from, to, options);
    const [row] = await to.mail.findByMessageId(ALICE.id, '<1@example.org>');
    const newest = await to.samples.newest(ALICE.id, `${ALICE.id}/${row!.content}`);
    assert.equal(newest?.label, 'ham');
    const { seq: _seq, ...label } = newest!;
    assert.equal(await to.samples.append([{ ...label, key: 'a', label: 'withdrawn' }]), 1);
  }));
