/** CREATE, RENAME, DELETE, subscriptions and \Recent. */

import assert from 'node:assert/strict';
import type { MailboxId } from '../../core/mail/ids.ts';
import type { Role } from '../../core/ports/mail-store.ts';
import { append, type Case, INBOX, JUNK, newMailboxId, store, type TestAccount, uids } from './mail-store-fixtures.ts';

const create = (name: string, id: MailboxId = newMailboxId(), role: Role | null = null) =>
  ({ t: 'createMailbox', id, name, role }) as const;
const names = async (a: TestAccount): Promise<string[]> => (await a.store.mailboxes(a.id)).map(({ name }) => name);

export function mailboxCases(it: Case): void {
  it('a mailbox made is listed with its role, and is empty', async (a) => {
    const id = newMailboxId();
    const made = await a.do(create('Sent', id, 'sent'));
    const mailbox = await a.mailbox(id);
    assert.deepEqual([made.mailbox, made.uidValidity, made.modSeq], [id, mailbox.uidValidity, mailbox.modSeq]);
    assert.deepEqual(
      [mailbox.name, mailbox.role, mailbox.total, mailbox.uidNext, mailbox.recentUid],
      ['Sent', 'sent', 0, 1, 1],
    );
    assert.deepEqual(await a.uids(id), []);
  });
  it('mailboxes are listed in byte order, INBOX first', async (a) => {
    await a.commit(...['b', 'a/b', 'Z', 'a', 'a!', 'é', '\u{1f600}', '\uffee', 'A'].map((name) => create(name)));
    const sorted = ['A', 'Junk', 'Z', 'a', 'a!', 'a/b', 'b', 'é', '\uffee', '\u{1f600}'];
    assert.deepEqual(await names(a), ['INBOX', ...sorted]);
  });
  it('names are kept byte for byte, and differ by case', async (a) => {
    const list = ['日本語/受信', 'a%b*c', 'x"y\\z', 'junk', "o'clock", ' lead', 'e\u0301', '\u00e9'];
    await a.commit(...list.map((name) => create(name)));
    assert.deepEqual(new Set(await names(a)), new Set(['INBOX', 'Junk', ...list]));
  });
  it('a name or an id that is there is not made again', async (a) => {
    const id = newMailboxId();
    await a.do(create('One', id));
    const before = await a.modSeq();
    assert.equal(await a.why(create('One')), 'mailboxExists');
    assert.equal(await a.why(create('Two', id)), 'mailboxExists');
    assert.equal(await a.why(create('INBOX')), 'mailboxExists');
    assert.equal(await a.modSeq(), before);
    const { results } = await a.commit(create('Three'), create('Three'));
    assert.deepEqual(
      results.map((result) => result.ok),
      [true, false],
    );
  });
  it('a renamed mailbox keeps its id, uidValidity and messages', async (a) => {
    await a.do(append({ mailbox: JUNK }));
    const before = await a.mailbox(JUNK);
    const { modSeq: at } = await a.do({ t: 'updateMailbox', mailbox: JUNK, name: 'Spam/Old' });
    assert.equal(at, (await a.modSeq()) as number);
    assert.deepEqual({ ...(await a.mailbox(JUNK)), modSeq: 0 }, { ...before, name: 'Spam/Old', modSeq: 0 });
    assert.deepEqual(await a.uids(JUNK), [1]);
  });
  it('renaming onto a name that is there fails softly, as does renaming what is not', async (a) => {
    assert.equal(await a.why({ t: 'updateMailbox', mailbox: JUNK, name: 'INBOX' }), 'mailboxExists');
    assert.equal(await a.why({ t: 'updateMailbox', mailbox: newMailboxId(), name: 'X' }), 'noSuchMailbox');
    assert.deepEqual(await names(a), ['INBOX', 'Junk']);
  });
  it('names can be exchanged in one commit', async (a) => {
    const other = newMailboxId();
    await a.do(create('Other', other));
    await a.commit(
      { t: 'updateMailbox', mailbox: JUNK, name: 'between' },
      { t: 'updateMailbox', mailbox: other, name: 'Junk' },
      { t: 'updateMailbox', mailbox: JUNK, name: 'Other' },
    );
    assert.deepEqual([(await a.mailbox(JUNK)).name, (await a.mailbox(other)).name], ['Other', 'Junk']);
  });
  it('a role is given and taken without touching the name', async (a) => {
    await a.do({ t: 'updateMailbox', mailbox: JUNK, role: null });
    assert.deepEqual([(await a.mailbox(JUNK)).role, (await a.mailbox(JUNK)).name], [null, 'Junk']);
    await a.do({ t: 'updateMailbox', mailbox: JUNK, role: 'archive', name: 'Archive' });
    assert.deepEqual([(await a.mailbox(JUNK)).role, (await a.mailbox(JUNK)).name], ['archive', 'Archive']);
  });
  it('a mailbox made under a name used before has a greater uidValidity than any before', async (a) => {
    let highest = Math.max(...(await a.store.mailboxes(a.id)).map((mailbox) => mailbox.uidValidity));
    for (let round = 0; round < 5; round++) {
      const id = newMailboxId();
      const { uidValidity } = await a.do(create('Again', id));
      assert(uidValidity > highest);
      highest = uidValidity;
      await a.do({ t: 'deleteMailbox', mailbox: id });
    }
    const { results } = await a.commit(create('x'), create('y'), create('z'));
    for (const result of results) {
      assert(result.ok && result.t === 'createMailbox' && result.uidValidity > highest);
      highest = result.uidValidity;
    }
  });
  it('a deleted mailbox is gone with its messages, which vanish', async (a) => {
    await a.fill(2);
    await a.commit(append({ mailbox: JUNK }), append({ mailbox: JUNK }));
    const since = await a.modSeq();
    const { modSeq: at } = await a.do({ t: 'deleteMailbox', mailbox: JUNK });
    assert.deepEqual(await names(a), ['INBOX']);
    assert.equal(await a.store.columns(a.id, JUNK), undefined);
    assert.deepEqual(await a.store.rows(a.id, JUNK, uids(1, 2)), []);
    const { changed, vanished } = await a.store.changes(a.id, null, since);
    assert.deepEqual([changed, vanished], [[], [1, 2].map((uid) => ({ mailbox: JUNK, uid, modSeq: at }))]);
    assert.equal((await a.store.account(a.id))!.usedMessages, 2);
    assert.equal(await a.why({ t: 'deleteMailbox', mailbox: JUNK }), 'noSuchMailbox');
    assert.equal(await a.why(append({ mailbox: JUNK })), 'noSuchMailbox');
  });
  it('behind a deletion in the same commit the mailbox is not there, and its name is free', async (a) => {
    const id = newMailboxId();
    const { results } = await a.commit(
      append({ mailbox: JUNK }),
      { t: 'deleteMailbox', mailbox: JUNK },
      append({ mailbox: JUNK }),
      create('Junk', id),
      append({ mailbox: id }),
    );
    assert.deepEqual(
      results.map((result) => result.ok),
      [true, true, false, true, true],
    );
    assert.deepEqual([await a.uids(id), (await a.store.account(a.id))!.usedMessages], [[1], 1]);
  });
  it("only the mailboxes that messages change in get the commit's modSeq", async (a) => {
    await a.fill(1);
    const junk = await a.mailbox(JUNK);
    const { modSeq: at } = await a.do(store(uids(1), 'add', ['\\Seen']));
    assert.deepEqual([(await a.mailbox()).modSeq, await a.mailbox(JUNK)], [at, junk]);
    const moved = await a.do({ t: 'move', from: INBOX, uids: uids(1), to: JUNK });
    assert.deepEqual([(await a.mailbox()).modSeq, (await a.mailbox(JUNK)).modSeq], [moved.modSeq, moved.modSeq]);
  });

  it('subscriptions are names of their own, in byte order', async (a) => {
    const subscribe = (name: string, subscribed = true) => ({ t: 'subscribe', name, subscribed }) as const;
    await a.commit(subscribe('b'), subscribe('Junk'), subscribe('é'), subscribe('b'), subscribe('INBOX'));
    assert.deepEqual(await a.store.subscriptions(a.id), ['INBOX', 'Junk', 'b', 'é']);
    await a.do({ t: 'deleteMailbox', mailbox: JUNK });
    assert.deepEqual(await a.store.subscriptions(a.id), ['INBOX', 'Junk', 'b', 'é']);
    const before = await a.modSeq();
    assert.equal((await a.do(subscribe('b'))).modSeq, before);
    assert.equal((await a.do(subscribe('b', false))).modSeq, before + 1);
    assert.deepEqual(await a.store.subscriptions(a.id), ['INBOX', 'Junk', 'é']);
  });
  it('\\Recent messages are claimed once, without a new modSeq', async (a) => {
    await a.fill(2);
    const claim = { t: 'claimRecent', mailbox: INBOX } as const;
    const before = await a.modSeq();
    assert.deepEqual([(await a.do(claim)).recentUid, (await a.do(claim)).recentUid], [1, 3]);
    assert.deepEqual([await a.modSeq(), (await a.mailbox()).recentUid], [before, 3]);
    await a.fill(1);
    assert.deepEqual(
      [(await a.mailbox()).recentUid, (await a.do(claim)).recentUid, (await a.mailbox()).recentUid],
      [3, 3, 4],
    );
    assert.equal(await a.why({ t: 'claimRecent', mailbox: newMailboxId() }), 'noSuchMailbox');
  });
  it('of sessions that claim at once, one gets the \\Recent messages', async (a) => {
    await a.fill(1);
    const claims = await Promise.all([1, 2, 3].map(() => a.do({ t: 'claimRecent', mailbox: INBOX })));
    assert.deepEqual(claims.map((one): number => one.recentUid).sort(), [1, 2, 2]);
  });
}
