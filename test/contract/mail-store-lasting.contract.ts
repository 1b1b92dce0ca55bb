/** What lasts: reopening, collection, verification and backup. Each case has a store of its own. */

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Fenced } from '../../core/mail/errors.ts';
import { contentId, modSeq } from '../../core/mail/ids.ts';
import type { MailStore } from '../../core/ports/mail-store.ts';
import {
  append,
  blobOf,
  type Case,
  contentInput,
  DAY,
  dump,
  INBOX,
  JUNK,
  newMailboxId,
  START,
  store,
  TestAccount,
  uidRange,
  uids,
} from './mail-store-fixtures.ts';

const expungeAll = { t: 'expunge', mailbox: INBOX, uids: null, onlyDeleted: false } as const;

async function collect(mailStore: MailStore, now: number): Promise<void> {
  while (await mailStore.gc(now, 50));
}

/** A bit of everything. */
async function live(a: TestAccount): Promise<void> {
  await a.fill(5, ['\\Seen', 'k']);
  await a.commit(store(uids(1, 2), 'add', ['\\Deleted']), { t: 'copy', from: INBOX, uids: uids(3), to: JUNK });
  await a.do({ t: 'expunge', mailbox: INBOX, uids: null, onlyDeleted: true });
  await a.do({ t: 'move', from: INBOX, uids: uids(4), to: JUNK });
  await a.commit(
    { t: 'createMailbox', id: newMailboxId(), name: 'ü', role: null },
    { t: 'subscribe', name: 'ü', subscribed: true },
  );
  await a.do({ t: 'claimRecent', mailbox: INBOX });
}

export function lastingCases(it: Case): void {
  it('everything is there after reopening, and goes on where it was', async (a, fixture) => {
    await live(a);
    const first = await a.do(append({ dedupe: 'key' }));
    await a.do({ t: 'outbox', topic: 'feedback', key: 'k', payload: { n: 1 } });
    const before = await dump(a.store, a.id);
    a.store = await fixture.reopen();
    assert.deepEqual(await dump(a.store, a.id), before);
    assert.deepEqual(
      (await a.store.outbox('feedback', 10)).map((entry) => entry.payload),
      [{ n: 1 }],
    );
    assert.deepEqual(await a.do(append({ dedupe: 'key' })), { ...first, modSeq: await a.modSeq(), duplicate: true });
    assert.equal((await a.do(append())).uid, first.uid + 1);
  });
  it('a commit of flags alone is there after reopening', async (a, fixture) => {
    await a.fill(1);
    await a.do(store(uids(1), 'add', ['\\Answered']));
    a.store = await fixture.reopen();
    assert.deepEqual(await a.flags(), { 1: '\\Answered' });
  });
  it('epochs ascend over reopening, and the former owner stays fenced', async (a, fixture) => {
    await a.store.release(a.id, 'owner');
    const second = await a.store.lease(a.id, 'second', DAY);
    assert.equal(await a.store.lease(a.id, 'third', 1000), undefined);
    a.store = await fixture.reopen();
    await assert.rejects(a.commit(append()), (error) => error instanceof Fenced);
    assert((await a.store.lease(a.id, 'second', 1000))!.epoch >= second!.epoch);
    await assert.rejects(a.commit(append()), (error) => error instanceof Fenced);
  });
  it('a lease is taken from an owner that is gone, and from nobody else; that one is fenced', async (a) => {
    assert.equal(await a.store.lease(a.id, 'second', DAY, 'somebody'), undefined);
    assert.equal(await a.store.lease(a.id, 'second', DAY, ''), undefined);
    const lease = await a.store.lease(a.id, 'second', DAY, 'owner');
    assert(lease!.epoch > a.epoch);
    assert.equal((await a.store.holder(a.id))?.owner, 'second');
    await assert.rejects(a.commit(append()), (error) => error instanceof Fenced);
    assert.equal(await a.store.lease(a.id, 'owner', DAY, 'owner'), undefined);
    assert.equal((await a.store.lease(a.id, 'second', DAY, 'owner'))!.epoch, lease!.epoch);
  });
  it('the name of a commit is forgotten after an hour', async (a, { clock }) => {
    if (clock === undefined) return;
    await a.fill(1);
    const copy = () => a.store.commit(a.id, a.epoch, [{ t: 'copy', from: INBOX, uids: uids(1), to: JUNK }], 'one');
    await copy();
    clock.now += 3600_000 - 1000;
    await collect(a.store, clock.now);
    await copy();
    assert.deepEqual(await a.uids(JUNK), [1]);
    clock.now += 2000;
    await collect(a.store, clock.now);
    await copy();
    assert.deepEqual(await a.uids(JUNK), [1, 2]);
  });
  it("a lease that ran out goes to another, and is its owner's again with its epoch while nobody came", async (a, {
    clock,
  }) => {
    if (clock === undefined) return;
    const lease = await a.store.lease(a.id, 'owner', 1000);
    assert.equal(lease!.until, clock.now + 1000);
    clock.now += 1001;
    assert.equal((await a.store.lease(a.id, 'owner', 1000))!.epoch, a.epoch);
    clock.now += 1001;
    const next = await a.store.lease(a.id, 'other', 1000);
    assert(next!.epoch > a.epoch);
    await assert.rejects(a.commit(append()), (error) => error instanceof Fenced);
  });
  it('a uidValidity is greater than any before also when the clock went back', async (a, fixture) => {
    const id = newMailboxId();
    const { uidValidity } = await a.do({ t: 'createMailbox', id, name: 'x', role: null });
    await a.do({ t: 'deleteMailbox', mailbox: id });
    if (fixture.clock !== undefined) fixture.clock.now -= 3600_000;
    a.store = await fixture.reopen();
    const again = await a.do({ t: 'createMailbox', id: newMailboxId(), name: 'x', role: null });
    assert(again.uidValidity > uidValidity);
  });
  it('contents are collected when no message refers to them any more, and not before', async (a) => {
    const shared = contentInput({ blob: blobOf('shared') });
    const kept = await a.do(append({ content: shared }));
    const gone = await a.do(append({ content: contentInput({ blob: blobOf('gone') }) }));
    const twin = await a.do(append({ content: contentInput({ blob: blobOf('shared') }) }));
    await a.do({ t: 'copy', from: INBOX, uids: uids(kept.uid), to: JUNK });
    await a.do(expungeAll);
    const refs = ['shared', 'gone', 'never'].map(blobOf);
    assert.deepEqual(await a.store.liveBlobs(refs), new Set(refs.slice(0, 2)));
    await collect(a.store, START);
    assert.deepEqual(await a.store.liveBlobs(refs), new Set(refs.slice(0, 1)));
    const found = await a.store.contents(
      a.id,
      [kept, gone, twin].map((one) => contentId(one.content)),
      ['size'],
    );
    assert.deepEqual(
      found.map((one) => one?.size),
      [shared.size, undefined, undefined],
    );
    assert.equal(await a.why(append({ content: { ref: gone.content } })), 'noSuchContent');
    assert.deepEqual(await a.store.verify(false), []);
  });
  it('a content that got a message again before the collection stays, and contents of MOVE are not touched', async (a) => {
    const { content } = await a.do(append());
    await a.do(expungeAll);
    await a.do(append({ content: { ref: content } }));
    await a.do({ t: 'move', from: INBOX, uids: uids(2), to: JUNK });
    await collect(a.store, START);
    assert.equal((await a.store.contents(a.id, [content], []))[0]?.id, content);
    await a.do({ t: 'deleteMailbox', mailbox: JUNK });
    await collect(a.store, START);
    assert.deepEqual(await a.store.contents(a.id, [content], []), [undefined]);
  });
  it('content ids are never given again, so an index of them can not lie', async (a, fixture) => {
    const first = await a.do(append());
    await a.do(expungeAll);
    await collect(a.store, START);
    a.store = await fixture.reopen();
    assert((await a.do(append())).content > first.content);
  });
  it('blobs of a deleted account are live no more', async (a) => {
    await a.do(append({ content: contentInput({ blob: blobOf('of the account') }) }));
    const refs = [blobOf('of the account')];
    assert.equal((await a.store.liveBlobs(refs)).size, 1);
    await a.store.deleteAccount(a.id);
    await collect(a.store, START);
    assert.equal((await a.store.liveBlobs(refs)).size, 0);
    assert.deepEqual(await a.store.verify(false), []);
  });
  it('every blob of a layout is live', async (a) => {
    const [one, two, three] = [blobOf('1'), blobOf('2'), blobOf('3')];
    const layout = [
      { t: 'blob' as const, ref: one, start: 0, end: 10 },
      { t: 'base64' as const, ref: two, size: 30, lineLength: 76, eol: '\r\n' as const },
      { t: 'blob' as const, ref: one, start: 10, end: 20 },
    ];
    await a.do(append({ content: contentInput({ layout, size: 60 }) }));
    assert.deepEqual(await a.store.liveBlobs([three, two, one]), new Set([two, one]));
    assert.deepEqual(await a.store.liveBlobs([]), new Set());
  });
  it('a dedupe key is kept for 7 days, and then forgotten', async (a) => {
    await a.do(append({ dedupe: 'key' }));
    await collect(a.store, START + 7 * DAY - 1000);
    assert.equal((await a.do(append({ dedupe: 'key' }))).duplicate, true);
    await collect(a.store, START + 7 * DAY + 1000);
    assert.equal((await a.do(append({ dedupe: 'key' }))).duplicate, false);
  });
  it('tombstones go when they are over 30 days old and beyond 100,000, and the floor rises to them', async (a, {
    tombstonesKept: kept = 100_000,
  }) => {
    const all = kept + 500;
    await a.fill(1000);
    for (let count = 1000; count < all; count *= 2) {
      const copied = Math.min(count, all - count);
      await a.do({ t: 'copy', from: INBOX, uids: uidRange(1, copied), to: INBOX });
    }
    await a.do({ t: 'expunge', mailbox: INBOX, uids: uidRange(1, 300), onlyDeleted: false });
    const early = await a.modSeq();
    await a.do(expungeAll);
    await collect(a.store, START + 29 * DAY);
    assert.equal((await a.store.account(a.id))!.floor, 0);
    await collect(a.store, START + 31 * DAY);
    const { floor } = (await a.store.account(a.id))!;
    assert(floor >= early);
    assert.equal((await a.store.changes(a.id, INBOX, modSeq(floor - 1))).tooOld, true);
    assert.equal((await a.store.changes(a.id, INBOX, floor)).tooOld, false);
    assert.equal((await a.store.changes(a.id, INBOX, modSeq(early), 200_000)).vanished.length, kept);
    assert.equal((await a.mailbox()).uidNext, all + 1);
    assert.equal((await a.do(append())).uid, all + 1);
    assert.deepEqual(await a.store.verify(false), []);
  });
  it('a collection with no time left does little, says so, and goes on later', async (a) => {
    await a.fill(900);
    await a.do(expungeAll);
    assert.equal(await a.store.gc(START, 0), true);
    await collect(a.store, START);
    assert.equal(await a.store.gc(START, 0), false);
  });
  it('a sound store has no damage, before and after a repair', async (a) => {
    await live(a);
    const before = await dump(a.store, a.id);
    assert.deepEqual(await a.store.verify(false), []);
    assert.deepEqual(await a.store.verify(true), []);
    assert.deepEqual(await dump(a.store, a.id), before);
  });
  it('a backup made while others write is a whole store as it was at one moment', async (a, fixture, context) => {
    if (fixture.openBackup === undefined) return context.skip('this driver restores by tools of its own');
    await live(a);
    const folder = await mkdtemp(join(tmpdir(), 'mailmesh-backup-'));
    try {
      const writes = Array.from({ length: 50 }, () =>
        a.do({ t: 'move', from: JUNK, uids: uids(1), to: INBOX }).then(() => a.do(append())),
      );
      await a.store.backup(join(folder, 'copy'));
      await Promise.all(writes);
      const copy = await fixture.openBackup(join(folder, 'copy'));
      try {
        assert.deepEqual(await copy.verify(false), []);
        const { usedMessages } = (await copy.account(a.id))!;
        const total = (await copy.mailboxes(a.id)).reduce((sum, mailbox) => sum + mailbox.total, 0);
        assert.equal(total, usedMessages);
        assert(usedMessages >= 4);
      } finally {
        await copy.close();
      }
    } finally {
      await rm(folder, { recursive: true });
    }
  });
  it('statistics count accounts and messages', async (a) => {
    await TestAccount.create(a.store);
    await a.fill(3);
    const stats = await a.store.stats();
    assert.deepEqual([stats.accounts, stats.messages], [2, 3]);
    assert(stats.stored > 0);
  });
}
