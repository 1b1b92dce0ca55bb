/** What every mail store driver promises (core/ports/mail-store.ts). The suites beside this one are run by it. */

import assert from 'node:assert/strict';
import { ClientError, Fenced } from '../../core/mail/errors.ts';
import { contentId, modSeq } from '../../core/mail/ids.ts';
import type { Op } from '../../core/ports/mail-store.ts';
import { appendCases } from './mail-store-append.contract.ts';
import {
  append,
  type Case,
  contentInput,
  INBOX,
  JUNK,
  type MakeMailStore,
  newAccountId,
  ownCases,
  sharedCases,
  store,
  TestAccount,
  uidRange,
  uids,
} from './mail-store-fixtures.ts';
import { historyCases } from './mail-store-history.contract.ts';
import { lastingCases } from './mail-store-lasting.contract.ts';
import { mailboxCases } from './mail-store-mailboxes.contract.ts';
import { messageCases } from './mail-store-messages.contract.ts';

export function mailStoreContract(driver: string, make: MakeMailStore): void {
  sharedCases(driver, make, (it) => {
    accountCases(it);
    leaseCases(it);
    commitCases(it);
    requestCases(it);
    appendCases(it);
    messageCases(it);
    mailboxCases(it);
    historyCases(it);
  });
  lastingCases(ownCases(driver, make));
}

const notFound = (error: unknown): boolean => error instanceof ClientError && error.reply === 'notFound';
const fenced = (error: unknown): boolean => error instanceof Fenced;

function accountCases(it: Case): void {
  it('a new account has its first mailboxes, empty, INBOX first', async (a) => {
    const list = await a.store.mailboxes(a.id);
    assert.deepEqual(
      list.map(({ id, name, role }) => ({ id, name, role })),
      [
        { id: INBOX, name: 'INBOX', role: 'inbox' },
        { id: JUNK, name: 'Junk', role: 'junk' },
      ],
    );
    for (const mailbox of list) {
      assert.deepEqual(
        [mailbox.total, mailbox.unseen, mailbox.deleted, mailbox.bytes, mailbox.uidNext, mailbox.recentUid],
        [0, 0, 0, 0, 1, 1],
      );
      assert(mailbox.modSeq >= 1 && mailbox.uidValidity >= 1 && mailbox.uidValidity <= 0xffff_ffff);
    }
    const state = (await a.store.account(a.id))!;
    assert.deepEqual(
      [state.floor, state.usedBytes, state.usedMessages, state.quotaBytes, state.quotaMessages],
      [0, 0, 0, null, null],
    );
    assert(state.modSeq >= Math.max(...list.map((mailbox) => mailbox.modSeq)));
  });
  it('an account that is there already is left as it is', async (a) => {
    await a.fill(2);
    const before = [await a.store.account(a.id), await a.store.mailboxes(a.id)];
    await a.store.createAccount({
      account: a.id,
      quotaBytes: 1,
      quotaMessages: 1,
      mailboxes: [{ id: INBOX, name: 'INBOX', role: 'inbox' }],
    });
    assert.deepEqual([await a.store.account(a.id), await a.store.mailboxes(a.id)], before);
  });
  it('an unknown account reads as nothing', async ({ store: s }) => {
    const id = newAccountId();
    assert.equal(await s.account(id), undefined);
    assert.deepEqual(await s.mailboxes(id), []);
    assert.deepEqual(await s.subscriptions(id), []);
    assert.equal(await s.columns(id, INBOX), undefined);
    assert.deepEqual(await s.rows(id, INBOX, uids(1)), []);
    const changes = await s.changes(id, null, modSeq(0));
    assert.deepEqual([changes.changed, changes.vanished], [[], []]);
    assert.deepEqual(await s.contents(id, [contentId(1)], ['size']), [undefined]);
    assert.deepEqual(await s.findByMessageId(id, '<1@example.org>'), []);
  });
  it('a write to an unknown account is refused', async ({ store: s }) => {
    const id = newAccountId();
    await assert.rejects(s.commit(id, 1, [append()]), notFound);
    await assert.rejects(s.lease(id, 'owner', 1000), notFound);
    await assert.rejects(s.setQuota(id, 1, 1), notFound);
  });
  it('accounts are listed in order behind a cursor', async (a) => {
    const made = [a.id];
    for (let i = 0; i < 4; i++) made.push((await TestAccount.create(a.store)).id);
    const listed = [];
    for (let cursor = null, page = await a.store.accounts(cursor, 2); page.length > 0; ) {
      listed.push(...page);
      page = await a.store.accounts(page.at(-1)!, 2);
    }
    assert.deepEqual(listed, [...listed].sort());
    assert.equal(new Set(listed).size, listed.length);
    for (const id of made) assert(listed.includes(id));
  });
  it('a deleted account is gone with everything in it, as often as it is deleted', async (a) => {
    const content = contentInput();
    await a.do(append({ content }));
    await a.do({ t: 'subscribe', name: 'INBOX', subscribed: true });
    await a.do({ t: 'outbox', topic: 'feedback', key: `of ${a.id}`, payload: 1 });
    await a.store.deleteAccount(a.id);
    await a.store.deleteAccount(a.id);
    assert.equal(await a.store.account(a.id), undefined);
    assert.deepEqual(await a.store.mailboxes(a.id), []);
    assert.deepEqual(await a.store.subscriptions(a.id), []);
    assert.deepEqual(await a.store.findByMessageId(a.id, content.messageId), []);
    assert(!(await a.store.accounts(null, 10_000)).includes(a.id));
    assert(!(await a.store.outbox('feedback', 10_000)).some((entry) => entry.account === a.id));
    await assert.rejects(a.commit(append()), notFound);
    await a.store.createAccount({
      account: a.id,
      quotaBytes: null,
      quotaMessages: null,
      mailboxes: [{ id: INBOX, name: 'INBOX', role: 'inbox' }],
    });
    assert.equal((await a.mailbox()).total, 0);
  });
  it('accounts keep apart what bears the same id in both', async (a) => {
    const b = await TestAccount.create(a.store);
    const content = contentInput();
    const { content: id } = await a.do(append({ content }));
    assert.equal((await b.mailbox()).total, 0);
    assert.deepEqual(await b.store.findByMessageId(b.id, content.messageId), []);
    assert.deepEqual(await b.store.contents(b.id, [id], ['size']), [undefined]);
    assert.equal(await b.why(append({ content: { ref: id } })), 'noSuchContent');
  });
  it('a quota that is set is shown, and can be taken away', async (a) => {
    await a.store.setQuota(a.id, 5, null);
    assert.deepEqual(
      [(await a.store.account(a.id))!.quotaBytes, (await a.store.account(a.id))!.quotaMessages],
      [5, null],
    );
    await a.store.setQuota(a.id, null, 7);
    assert.deepEqual(
      [(await a.store.account(a.id))!.quotaBytes, (await a.store.account(a.id))!.quotaMessages],
      [null, 7],
    );
  });
}

function leaseCases(it: Case): void {
  it('a lease is refused to others while it is held, and renewed to its owner with its epoch', async (a) => {
    assert.equal(await a.store.lease(a.id, 'other', 1000), undefined);
    assert.equal((await a.store.lease(a.id, 'owner', 5000))?.epoch, a.epoch);
  });
  it('a lease given back is free, and the next one has a greater epoch', async (a) => {
    await a.store.release(a.id, 'owner');
    const lease = await a.store.lease(a.id, 'other', 1000);
    assert(lease !== undefined && lease.epoch > a.epoch);
  });
  it("giving back another's lease has no effect", async (a) => {
    await a.store.release(a.id, 'other');
    assert.equal(await a.store.lease(a.id, 'other', 1000), undefined);
  });
  it('who holds a lease can be asked, and how long for', async (a) => {
    const held = await a.store.holder(a.id);
    assert.equal(held?.owner, 'owner');
    assert(held!.leftMs > 3600_000);
    await a.store.release(a.id, 'owner');
    assert.equal(await a.store.holder(a.id), undefined);
    assert.equal(await a.store.holder(newAccountId()), undefined);
  });
  it('of many that want a free lease at once, one gets it', async (a) => {
    await a.store.release(a.id, 'owner');
    const leases = await Promise.all(Array.from({ length: 8 }, (_, i) => a.store.lease(a.id, `owner ${i}`, 60_000)));
    assert.equal(leases.filter((lease) => lease !== undefined).length, 1);
  });
  it("a deposed owner's commit is fenced and changes nothing", async (a) => {
    await a.fill(1);
    await a.store.release(a.id, 'owner');
    await a.store.lease(a.id, 'other', 1000);
    const before = await a.store.mailboxes(a.id);
    await assert.rejects(a.commit(append(), store(uids(1), 'add', ['\\Seen'])), fenced);
    assert.deepEqual(await a.store.mailboxes(a.id), before);
  });
  it('a commit with an epoch that was never given is fenced', async (a) => {
    await assert.rejects(a.store.commit(a.id, a.epoch + 1, [append()]), fenced);
    assert.equal((await a.mailbox()).total, 0);
  });
}

function requestCases(it: Case): void {
  const copy = { t: 'copy', from: INBOX, uids: uids(1, 2), to: JUNK } as const;
  const again = (a: TestAccount, name: string, ...ops: Op[]) => a.store.commit(a.id, a.epoch, ops, name);

  it('a commit asked for again by its name gives its first result and changes nothing', async (a) => {
    await a.fill(3);
    const ops: Op[] = [
      copy,
      { t: 'move', from: INBOX, uids: uids(3), to: JUNK },
      append(),
      { ...store(uids(1), 'add', ['\\Seen', 'k'], 1_000_000) },
      { t: 'expunge', mailbox: INBOX, uids: uids(2), onlyDeleted: false },
      { t: 'createMailbox', id: newMailbox, name: 'New', role: null },
    ];
    const first = await again(a, 'one', ...ops);
    assert.ok(first.results.every(({ ok }) => ok));
    const before = await a.store.mailboxes(a.id);
    await a.store.release(a.id, 'owner');
    // Whoever has the account by then.
    const lease = await a.store.lease(a.id, 'other', 60_000);
    assert.deepEqual(await a.store.commit(a.id, lease!.epoch, ops, 'one'), first);
    assert.deepEqual(await a.store.mailboxes(a.id), before);
  });
  it('commits of other names, and of none, are others', async (a) => {
    await a.fill(2);
    await again(a, 'one', copy);
    await again(a, 'two', copy);
    await a.commit(copy);
    assert.deepEqual(await a.uids(JUNK), [1, 2, 3, 4, 5, 6]);
  });
  it('the same name asked for twice at once takes effect once', async (a) => {
    await a.fill(2);
    const [first, second] = await Promise.all([again(a, 'one', copy), again(a, 'one', copy)]);
    assert.deepEqual(first, second);
    assert.deepEqual(await a.uids(JUNK), [1, 2]);
  });
  it('a commit that was fenced has not happened under its name', async (a) => {
    await a.fill(2);
    await assert.rejects(a.store.commit(a.id, a.epoch + 1, [copy], 'one'), fenced);
    await again(a, 'one', copy);
    assert.deepEqual(await a.uids(JUNK), [1, 2]);
  });
}

function commitCases(it: Case): void {
  it('everything in a commit gets one new modSeq, the account one above', async (a) => {
    await a.fill(2);
    const before = await a.modSeq();
    const { modSeq: at } = await a.commit(append(), store(uids(1), 'add', ['\\Seen']), append({ mailbox: JUNK }), {
      t: 'expunge',
      mailbox: INBOX,
      uids: uids(2),
      onlyDeleted: false,
    });
    assert.equal(at, before + 1);
    assert.equal(await a.modSeq(), at);
    const { changed, vanished } = await a.store.changes(a.id, null, before);
    assert.deepEqual(
      [...changed, ...vanished].map((one) => one.modSeq),
      [at, at, at, at],
    );
  });
  it('a soft failure leaves the other operations standing', async (a) => {
    const { results } = await a.commit(
      append({ mailbox: newMailbox }),
      append(),
      append({ content: { ref: contentId(99) } }),
      append(),
    );
    assert.deepEqual(
      results.map((result) => (result.ok ? 'ok' : result.why)),
      ['noSuchMailbox', 'ok', 'noSuchContent', 'ok'],
    );
    assert.deepEqual(await a.uids(), [1, 2]);
  });
  it('a commit without effect bumps nothing', async (a) => {
    await a.fill(1, ['\\Seen']);
    const before = await a.modSeq();
    const { modSeq: at } = await a.commit(
      append({ mailbox: newMailbox }),
      store(uids(1), 'add', ['\\Seen']),
      store(uids(7), 'add', ['\\Seen']),
      { t: 'move', from: INBOX, uids: uids(9), to: JUNK },
      { t: 'expunge', mailbox: INBOX, uids: null, onlyDeleted: true },
      { t: 'updateMailbox', mailbox: JUNK, name: 'Junk', role: 'junk' },
      { t: 'subscribe', name: 'x', subscribed: false },
    );
    assert.deepEqual([at, await a.modSeq(), (await a.commit()).modSeq], [before, before, before]);
  });
  it('operations see the effects of those before them', async (a) => {
    const id = newMailbox;
    const { results } = await a.commit(
      { t: 'createMailbox', id, name: 'New', role: null },
      append(),
      { t: 'move', from: INBOX, uids: uids(1), to: id },
      store(uids(1), 'add', ['\\Seen']),
      { t: 'store', mailbox: id, uids: uids(1), mode: 'add', flags: ['\\Flagged'] },
      { t: 'createMailbox', id: JUNK, name: 'New', role: null },
    );
    assert.deepEqual(
      results.map((result) => result.ok),
      [true, true, true, true, true, false],
    );
    assert.deepEqual(await a.uids(), []);
    assert.deepEqual(await a.flags(id), { 1: '\\Flagged' });
  });
  it('commits made at once each get a modSeq and uids of their own', async (a) => {
    const commits = await Promise.all(Array.from({ length: 40 }, () => a.commit(append())));
    assert.equal(new Set(commits.map((commit) => commit.modSeq)).size, 40);
    assert.deepEqual(await a.uids(), [...uidRange(1, 40)]);
    const columns = await a.columns();
    assert.deepEqual(
      [...columns.modSeqs],
      [...columns.modSeqs].sort((x, y) => x - y),
    );
  });
  it('a commit is seen by every read behind it', async (a) => {
    for (let i = 1; i <= 20; i++) {
      await a.fill(1);
      assert.equal((await a.mailbox()).total, i);
      assert.equal((await a.columns()).uids.length, i);
    }
  });
  it('more than 1,000 operations are refused, and nothing is done', async (a) => {
    const ops = Array.from({ length: 1001 }, () => store(uids(1), 'add', ['\\Seen']));
    await assert.rejects(a.store.commit(a.id, a.epoch, ops), (error) => error instanceof ClientError);
    assert.equal((await a.store.commit(a.id, a.epoch, ops.slice(1))).results.length, 1000);
  });
  it('outbox entries are read oldest first, once for each key, until they are done', async (a) => {
    const entry = (key: string, payload: unknown) => ({
      t: 'outbox' as const,
      topic: 'feedback' as const,
      key,
      payload,
    });
    const first = await a.commit(append(), entry('one', { a: [1, 'ü'] }));
    await a.commit(entry('two', null));
    await a.commit(entry('one', 'again'));
    const mine = async () => (await a.store.outbox('feedback', 1000)).filter((one) => one.account === a.id);
    const entries = await mine();
    assert.deepEqual(
      entries.map(({ key, payload }) => ({ key, payload })),
      [
        { key: 'one', payload: { a: [1, 'ü'] } },
        { key: 'two', payload: null },
      ],
    );
    assert.equal(entries[0]!.modSeq, first.modSeq);
    await a.store.outboxDone('feedback', entries.slice(0, 1));
    assert.deepEqual(
      (await mine()).map(({ key }) => key),
      ['two'],
    );
    await assert.rejects(a.store.commit(a.id, a.epoch + 1, [entry('three', 3)]), fenced);
    await a.store.outboxDone('feedback', entries);
    assert.deepEqual(await mine(), []);
  });
}

const newMailbox = 'unknown000000000' as typeof INBOX;
