/** STORE, COPY, MOVE and EXPUNGE. */

import assert from 'node:assert/strict';
import { contentId, mailboxId } from '../../core/mail/ids.ts';
import { append, type Case, INBOX, JUNK, store, uidRange, uids } from './mail-store-fixtures.ts';

const UNKNOWN = mailboxId('unknown000000000');

export function messageCases(it: Case): void {
  it('STORE adds, removes and replaces flags and says what they are now', async (a) => {
    await a.fill(1, ['\\Seen', 'one']);
    const flagsAfter = async (mode: 'add' | 'remove' | 'replace', flags: string[]) =>
      (await a.do(store(uids(1), mode, flags))).stored[0]!.flags.join(' ');
    assert.equal(await flagsAfter('add', ['two', '\\Draft']), '\\Seen \\Draft one two');
    assert.equal(await flagsAfter('remove', ['ONE', '\\seen', 'never']), '\\Draft two');
    assert.equal(await flagsAfter('replace', ['$junk']), '$Junk');
    assert.equal(await flagsAfter('replace', []), '');
    assert.deepEqual(await a.flags(), { 1: '' });
  });
  it('a STORE that changes nothing bumps no modSeq and shows the old one', async (a) => {
    await a.fill(2, ['\\Seen']);
    const before = await a.modSeq();
    const same = await a.do(store(uids(1, 2), 'add', ['\\SEEN']));
    assert.deepEqual([same.modSeq, same.stored.map((one) => one.modSeq)], [before, [before, before]]);
    const half = await a.commit(store(uids(1), 'add', ['x']), store(uids(1, 2), 'add', ['X']));
    assert.equal(half.modSeq, before + 1);
    assert.deepEqual([...(await a.columns()).modSeqs], [before + 1, before + 1]);
    assert.deepEqual(await a.flags(), { 1: '\\Seen x', 2: '\\Seen X' });
  });
  it('STORE passes over uids that do not exist and answers in ascending order', async (a) => {
    await a.fill(4);
    await a.do({ t: 'expunge', mailbox: INBOX, uids: uids(2), onlyDeleted: false });
    const { stored, modified } = await a.do(store(uids(9, 4, 1, 2, 4, 3), 'add', ['\\Seen']));
    assert.deepEqual([stored.map((one) => one.uid), [...modified]], [[1, 3, 4], []]);
    assert.deepEqual(await a.vanished(INBOX, 0), [2]);
  });
  it('STORE on no uids at all, or on sparse ones far apart, works', async (a) => {
    await a.fill(120);
    assert.deepEqual((await a.do(store(uids(), 'add', ['\\Seen']))).stored, []);
    const { stored } = await a.do(store(uids(1, 50, 51, 120, 4_000_000_000), 'add', ['\\Seen']));
    assert.deepEqual(
      stored.map((one) => one.uid),
      [1, 50, 51, 120],
    );
    assert.equal((await a.mailbox()).unseen, 116);
  });
  it('UNCHANGEDSINCE leaves messages changed later alone and lists them', async (a) => {
    await a.fill(3);
    const mark = await a.modSeq();
    await a.do(store(uids(2), 'add', ['\\Flagged']));
    const { stored, modified } = await a.do(store(uidRange(1, 3), 'add', ['\\Seen'], mark));
    assert.deepEqual([stored.map((one) => one.uid), [...modified]], [[1, 3], [2]]);
    assert.deepEqual(await a.flags(), { 1: '\\Seen', 2: '\\Flagged', 3: '\\Seen' });
  });
  it('UNCHANGEDSINCE 0 refuses every message, and bumps nothing', async (a) => {
    await a.fill(2);
    const before = await a.modSeq();
    const result = await a.do(store(uids(1, 2), 'add', ['\\Seen'], 0));
    assert.deepEqual([result.stored, [...result.modified], result.modSeq], [[], [1, 2], before]);
  });
  it('UNCHANGEDSINCE refuses also where the flags would not change', async (a) => {
    await a.fill(1);
    const mark = await a.modSeq();
    await a.do(store(uids(1), 'add', ['\\Seen']));
    assert.deepEqual([...(await a.do(store(uids(1), 'add', ['\\Seen'], mark))).modified], [1]);
  });
  it('unseen and deleted are counted through every change', async (a) => {
    await a.fill(5);
    const counts = async () => {
      const { total, unseen, deleted } = await a.mailbox();
      return [total, unseen, deleted];
    };
    await a.do(store(uids(1, 2), 'add', ['\\Seen', '\\Deleted']));
    assert.deepEqual(await counts(), [5, 3, 2]);
    await a.do(store(uids(1, 3), 'replace', ['\\Deleted']));
    assert.deepEqual(await counts(), [5, 4, 3]);
    await a.do({ t: 'expunge', mailbox: INBOX, uids: uids(1, 2), onlyDeleted: true });
    assert.deepEqual(await counts(), [3, 3, 1]);
    await a.do(store(uids(3, 4, 5), 'remove', ['\\Deleted']));
    assert.deepEqual(await counts(), [3, 3, 0]);
  });
  it('many combinations of keywords are told apart', async (a) => {
    await a.fill(200);
    await a.commit(...Array.from({ length: 200 }, (_, i) => store(uids(i + 1), 'add', [`k${i}`, `"${i}\\`, 'ü'])));
    const flags = await a.flags();
    for (let i = 0; i < 200; i++) assert.equal(flags[i + 1], [`"${i}\\`, `k${i}`, 'ü'].join(' '));
  });
  it('STORE, COPY, MOVE and EXPUNGE in a mailbox that is not there fail softly', async (a) => {
    await a.fill(1);
    const list = uids(1);
    assert.equal(await a.why({ ...store(list, 'add', []), mailbox: UNKNOWN }), 'noSuchMailbox');
    assert.equal(await a.why({ t: 'copy', from: UNKNOWN, uids: list, to: INBOX }), 'noSuchMailbox');
    assert.equal(await a.why({ t: 'move', from: INBOX, uids: list, to: UNKNOWN }), 'noSuchMailbox');
    assert.equal(await a.why({ t: 'expunge', mailbox: UNKNOWN, uids: null, onlyDeleted: false }), 'noSuchMailbox');
    assert.deepEqual(await a.uids(), [1]);
  });

  it('COPY keeps flags, date, size and content under new uids', async (a) => {
    await a.commit(append({ flags: ['\\Seen', 'k'], internalDate: 7 }), append({ internalDate: 8 }));
    await a.do(append({ mailbox: JUNK }));
    const before = await a.store.rows(a.id, INBOX, uids(1, 2));
    const { from, to, uidValidity, modSeq: at } = await a.do({ t: 'copy', from: INBOX, uids: uids(2, 1, 5), to: JUNK });
    assert.deepEqual([from, to, uidValidity], [uids(1, 2), uids(2, 3), (await a.mailbox(JUNK)).uidValidity]);
    assert.deepEqual(await a.store.rows(a.id, INBOX, uids(1, 2)), before);
    assert.deepEqual(
      await a.store.rows(a.id, JUNK, uids(2, 3)),
      before.map((row, i) => ({ ...row, mailbox: JUNK, uid: to[i], modSeq: at, created: at })),
    );
  });
  it('COPY onto the same mailbox doubles the messages', async (a) => {
    await a.fill(3, ['\\Flagged']);
    const { from, to } = await a.do({ t: 'copy', from: INBOX, uids: uids(1, 3), to: INBOX });
    assert.deepEqual([from, to], [uids(1, 3), uids(4, 5)]);
    assert.deepEqual(await a.uids(), [1, 2, 3, 4, 5]);
  });
  it('MOVE takes messages out of one mailbox and into the other in one change', async (a) => {
    await a.commit(append({ flags: ['\\Seen'], internalDate: 7 }), append());
    const [before] = await a.store.rows(a.id, INBOX, uids(1));
    const since = await a.modSeq();
    const { from, to, modSeq: at } = await a.do({ t: 'move', from: INBOX, uids: uids(1), to: JUNK });
    assert.deepEqual([from, to, at], [uids(1), uids(1), since + 1]);
    assert.deepEqual([await a.uids(), await a.uids(JUNK)], [[2], [1]]);
    assert.deepEqual(await a.store.rows(a.id, JUNK, uids(1)), [{ ...before!, mailbox: JUNK, modSeq: at, created: at }]);
    const { changed, vanished } = await a.store.changes(a.id, null, since);
    assert.deepEqual(
      changed.map((row) => [row.mailbox, row.uid]),
      [[JUNK, 1]],
    );
    assert.deepEqual(vanished, [{ mailbox: INBOX, uid: 1, modSeq: at }]);
  });
  it('MOVE onto the same mailbox gives new uids', async (a) => {
    await a.fill(3);
    const { from, to } = await a.do({ t: 'move', from: INBOX, uids: uids(1, 2), to: INBOX });
    assert.deepEqual([from, to], [uids(1, 2), uids(4, 5)]);
    assert.deepEqual(
      [await a.uids(), await a.vanished(INBOX, 0)],
      [
        [3, 4, 5],
        [1, 2],
      ],
    );
    assert.equal((await a.mailbox()).total, 3);
  });
  it('a message moved to and fro stays one message with one content', async (a) => {
    const { content } = await a.do(append());
    for (let i = 0; i < 5; i++) {
      await a.do({ t: 'move', from: INBOX, uids: uids(i + 1), to: JUNK });
      await a.do({ t: 'move', from: JUNK, uids: uids(i + 1), to: INBOX });
    }
    assert.deepEqual([await a.uids(), await a.uids(JUNK)], [[6], []]);
    assert.deepEqual([...(await a.columns()).contents], [content]);
    assert.equal((await a.store.account(a.id))!.usedMessages, 1);
  });
  it('COPY and MOVE of uids that do not exist do nothing', async (a) => {
    await a.fill(1);
    const before = await a.modSeq();
    for (const t of ['copy', 'move'] as const) {
      const { from, to, modSeq: at } = await a.do({ t, from: INBOX, uids: uids(2, 3), to: JUNK });
      assert.deepEqual([from.length, to.length, at], [0, 0, before]);
    }
  });
  it('two moves of one message at once move it once', async (a) => {
    await a.fill(1);
    const move = { t: 'move', from: INBOX, uids: uids(1), to: JUNK } as const;
    const results = await Promise.all([a.do(move), a.do(move), a.do(move)]);
    assert.deepEqual(results.map((result) => result.to.length).sort(), [0, 0, 1]);
    assert.deepEqual([await a.uids(), await a.uids(JUNK)], [[], [1]]);
  });

  it('EXPUNGE takes only messages with \\Deleted where asked', async (a) => {
    await a.fill(5);
    await a.do(store(uids(1, 2, 4), 'add', ['\\Deleted']));
    assert.deepEqual((await a.do({ t: 'expunge', mailbox: INBOX, uids: uids(1, 3), onlyDeleted: true })).uids, uids(1));
    assert.deepEqual((await a.do({ t: 'expunge', mailbox: INBOX, uids: null, onlyDeleted: true })).uids, uids(2, 4));
    assert.deepEqual(await a.uids(), [3, 5]);
  });
  it('EXPUNGE without that takes every uid named, or every message', async (a) => {
    await a.fill(5);
    assert.deepEqual(
      (await a.do({ t: 'expunge', mailbox: INBOX, uids: uids(5, 2, 9), onlyDeleted: false })).uids,
      uids(2, 5),
    );
    assert.deepEqual(
      (await a.do({ t: 'expunge', mailbox: INBOX, uids: null, onlyDeleted: false })).uids,
      uids(1, 3, 4),
    );
    const mailbox = await a.mailbox();
    assert.deepEqual([mailbox.total, mailbox.unseen, mailbox.deleted, mailbox.bytes, mailbox.uidNext], [0, 0, 0, 0, 6]);
  });
  it('an expunged message is in no answer but the history', async (a) => {
    const { content } = await a.do(append());
    await a.do({ t: 'expunge', mailbox: INBOX, uids: uids(1), onlyDeleted: false });
    assert.deepEqual(await a.uids(), []);
    assert.deepEqual(await a.store.rows(a.id, INBOX, uids(1)), []);
    assert.deepEqual((await a.do(store(uids(1), 'add', ['\\Seen']))).stored, []);
    assert.deepEqual((await a.do({ t: 'expunge', mailbox: INBOX, uids: uids(1), onlyDeleted: false })).uids.length, 0);
    assert.deepEqual(await a.vanished(INBOX, 0), [1]);
    // A session that has not been told yet may still read it.
    assert.equal((await a.store.contents(a.id, [contentId(content)], []))[0]?.id, content);
  });
  it('rows are given ascending for whatever uids are asked', async (a) => {
    await a.fill(60);
    await a.do({ t: 'expunge', mailbox: INBOX, uids: uids(30), onlyDeleted: false });
    const rows = async (list: Uint32Array) => (await a.store.rows(a.id, INBOX, list)).map((row): number => row.uid);
    assert.deepEqual(await rows(uids(60, 1, 30, 31, 60, 99)), [1, 31, 60]);
    assert.deepEqual(await rows(uids()), []);
    assert.equal((await rows(uidRange(1, 100))).length, 59);
    assert.deepEqual(await a.store.rows(a.id, UNKNOWN, uids(1)), []);
  });
}
