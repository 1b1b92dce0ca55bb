/** APPEND and delivery: uids, contents, idempotence and quota. */

import assert from 'node:assert/strict';
import { contentId, mailboxId } from '../../core/mail/ids.ts';
import type { ContentField } from '../../core/ports/mail-store.ts';
import {
  append,
  blobOf,
  type Case,
  contentInput,
  INBOX,
  JUNK,
  store,
  TestAccount,
  uidRange,
  uids,
} from './mail-store-fixtures.ts';

const expungeAll = { t: 'expunge', mailbox: INBOX, uids: null, onlyDeleted: false } as const;

export function appendCases(it: Case): void {
  it('a message appended is in the columns, the rows and the counters', async (a) => {
    const content = contentInput();
    const result = await a.do(append({ content, flags: ['\\Deleted', 'work'], internalDate: 12_345 }));
    const mailbox = await a.mailbox();
    assert.deepEqual([result.uid, result.uidValidity, result.duplicate], [1, mailbox.uidValidity, false]);
    assert.deepEqual(
      [mailbox.total, mailbox.unseen, mailbox.deleted, mailbox.bytes, mailbox.uidNext, mailbox.modSeq],
      [1, 1, 1, content.size, 2, result.modSeq],
    );
    const columns = await a.columns();
    assert.deepEqual(columns.mailbox, mailbox);
    assert.equal(columns.upTo, result.modSeq);
    assert.deepEqual([columns.uids, columns.flags, columns.flagSets], [uids(1), uids(0), [['\\Deleted', 'work']]]);
    assert.deepEqual(
      [columns.modSeqs, columns.dates, columns.sizes, columns.contents],
      [Float64Array.of(result.modSeq), Float64Array.of(12_345), uids(content.size), Float64Array.of(result.content)],
    );
    assert.deepEqual(await a.store.rows(a.id, INBOX, uids(1)), [
      {
        mailbox: INBOX,
        uid: 1,
        flags: ['\\Deleted', 'work'],
        modSeq: result.modSeq,
        created: result.modSeq,
        internalDate: 12_345,
        size: content.size,
        content: result.content,
      },
    ]);
    const state = (await a.store.account(a.id))!;
    assert.deepEqual([state.usedBytes, state.usedMessages], [content.size, 1]);
  });
  it('uids ascend in the order of the operations and are never given again', async (a) => {
    assert.deepEqual(await a.fill(3), [1, 2, 3]);
    await a.do(expungeAll);
    assert.deepEqual(await a.fill(2), [4, 5]);
    assert.equal((await a.mailbox()).uidNext, 6);
  });
  it('flags are kept as a canonical set', async (a) => {
    await a.do(append({ flags: ['zeta', '\\seen', '\\Recent', 'Alpha', '\\FLAGGED', 'zeta'] }));
    assert.deepEqual(await a.flags(), { 1: '\\Flagged \\Seen Alpha zeta' });
  });
  it('a content comes back as it was given', async (a) => {
    const content = contentInput({ origin: 'q-ö', messageId: '<ä "x"@example.org>', sentAt: null });
    const { content: id } = await a.do(append({ content }));
    const [found] = await a.store.contents(a.id, [id], Object.keys(content) as ContentField[]);
    assert.equal(found!.id, id);
    for (const field of ['size', 'messageId', 'sentAt', 'origin'] as const) assert.equal(found![field], content[field]);
    for (const field of ['envelope', 'bodystructure', 'structure'] as const)
      assert.deepEqual(Buffer.from(found![field]), Buffer.from(content[field]));
    assert.equal(found!.layout.length, content.layout.length);
    assert.deepEqual(found!.layout[1], content.layout[1]);
    assert.deepEqual(
      Buffer.from((found!.layout[0] as { bytes: Uint8Array }).bytes),
      (content.layout[0] as { bytes: Uint8Array }).bytes,
    );
  });
  it('empty and large contents come back as well', async (a) => {
    const none = new Uint8Array(0);
    const content = contentInput({
      layout: [],
      size: 0,
      envelope: none,
      bodystructure: none,
      structure: new Uint8Array(300_000).fill(7),
      messageId: '',
    });
    const { content: id } = await a.do(append({ content }));
    const [found] = await a.store.contents(a.id, [id], ['layout', 'envelope', 'structure']);
    assert.deepEqual(
      [found!.layout, found!.envelope.length, found!.structure.length, found!.structure[299_999]],
      [[], 0, 300_000, 7],
    );
    assert.deepEqual(await a.store.findByMessageId(a.id, ''), []);
  });
  it('contents come in the order asked, undefined where gone, and only the fields asked for', async (a) => {
    const contents = [contentInput(), contentInput()];
    const { results } = await a.commit(...contents.map((content) => append({ content })));
    const [first, second] = results.map((result) => (result as { content: number }).content);
    const asked = [second!, 999_999, first!, second!].map(contentId);
    const found = await a.store.contents(a.id, asked, ['messageId']);
    assert.deepEqual(
      found.map((one) => one?.messageId),
      [contents[1]!.messageId, undefined, contents[0]!.messageId, contents[1]!.messageId],
    );
    assert.deepEqual([found[0]!.size, found[0]!.envelope.length, found[0]!.layout, found[0]!.origin], [0, 0, [], '']);
    assert.deepEqual(await a.store.contents(a.id, [], ['size']), []);
    assert.equal((await a.store.contents(a.id, [contentId(first!)], []))[0]!.id, first);
  });
  it('contents of more than a thousand messages come in one call', async (a) => {
    await a.fill(700);
    await a.fill(700);
    const ids = [...(await a.columns()).contents].map(contentId);
    const found = await a.store.contents(a.id, ids, ['origin']);
    assert.deepEqual(
      found.map((one) => one!.id),
      ids,
    );
    assert.equal(new Set(found.map((one) => one!.origin)).size, 1400);
  });
  it('an append by reference shares the content and its size', async (a) => {
    const content = contentInput();
    const first = await a.do(append({ content }));
    const second = await a.do(append({ mailbox: JUNK, content: { ref: first.content } }));
    assert.equal(second.content, first.content);
    assert.equal((await a.mailbox(JUNK)).bytes, content.size);
    assert.equal(await a.why(append({ content: { ref: contentId(4711) } })), 'noSuchContent');
  });
  it('an append to a mailbox that is not there fails softly', async (a) => {
    assert.equal(await a.why(append({ mailbox: mailboxId('unknown') })), 'noSuchMailbox');
  });

  it('the same dedupe key again returns the first result and changes nothing', async (a) => {
    const first = await a.do(append({ dedupe: 'q1 a@example.org' }));
    const again = await a.do(append({ dedupe: 'q1 a@example.org', mailbox: JUNK }));
    assert.deepEqual(again, { ...first, duplicate: true });
    assert.deepEqual([await a.uids(), await a.uids(JUNK)], [[1], []]);
  });
  it('a dedupe key holds after MOVE, EXPUNGE and the end of its mailbox', async (a) => {
    const [moved, expunged, orphaned] = [
      append({ dedupe: 'moved' }),
      append({ dedupe: 'expunged' }),
      append({ dedupe: 'orphaned', mailbox: JUNK }),
    ];
    const first = await a.commit(moved, expunged, orphaned);
    await a.do({ t: 'move', from: INBOX, uids: uids(1), to: JUNK });
    await a.do(expungeAll);
    await a.do({ t: 'deleteMailbox', mailbox: JUNK });
    const again = await a.commit(moved, expunged, orphaned);
    assert.deepEqual(
      again.results,
      first.results.map((result) => ({ ...result, duplicate: true })),
    );
    assert.deepEqual(await a.uids(), []);
  });
  it('a dedupe key used twice in one commit, or by many at once, delivers once', async (a) => {
    await a.commit(append({ dedupe: 'twice' }), append({ dedupe: 'twice' }));
    const results = await Promise.all(Array.from({ length: 10 }, () => a.do(append({ dedupe: 'many' }))));
    assert.equal(results.filter((result) => !result.duplicate).length, 1);
    assert.deepEqual(new Set(results.map((result) => result.uid)), new Set([2]));
    assert.deepEqual(await a.uids(), [1, 2]);
  });
  it('dedupe keys of different accounts are different keys', async (a) => {
    const b = await TestAccount.create(a.store);
    await a.do(append({ dedupe: 'key' }));
    assert.equal((await b.do(append({ dedupe: 'key' }))).duplicate, false);
  });
  it('an append that failed leaves its dedupe key free', async (a) => {
    await a.store.setQuota(a.id, 1, null);
    assert.equal(await a.why(append({ dedupe: 'key' })), 'quota');
    await a.store.setQuota(a.id, null, null);
    assert.equal((await a.do(append({ dedupe: 'key' }))).duplicate, false);
  });

  it('the quota of bytes is enforced where asked, and may be filled exactly', async (a) => {
    const content = contentInput();
    await a.store.setQuota(a.id, content.size, null);
    await a.do(append({ content }));
    assert.equal(await a.why(append()), 'quota');
    assert.equal((await a.do(append({ quota: 'ignore' }))).uid, 2);
  });
  it('the quota of messages is enforced', async (a) => {
    await a.store.setQuota(a.id, null, 2);
    await a.fill(2);
    assert.equal(await a.why(append()), 'quota');
    await a.do({ t: 'expunge', mailbox: INBOX, uids: uids(1), onlyDeleted: false });
    assert.equal((await a.do(append())).uid, 3);
  });
  it('fifty appends at once at the edge of the quota exceed it by at most one message', async (a) => {
    const content = contentInput();
    await a.store.setQuota(a.id, content.size * 10, null);
    const results = await Promise.all(Array.from({ length: 50 }, () => a.commit(append({ content }))));
    const kept = results.filter(({ results: [result] }) => result!.ok).length;
    assert(kept === 10 || kept === 11, `${kept} kept`);
    assert.equal((await a.store.account(a.id))!.usedMessages, kept);
  });
  it('a copy beyond the quota is refused whole; a move needs none', async (a) => {
    await a.fill(3);
    await a.store.setQuota(a.id, null, 5);
    assert.equal(await a.why({ t: 'copy', from: INBOX, uids: uidRange(1, 3), to: JUNK }), 'quota');
    assert.deepEqual(await a.uids(JUNK), []);
    await a.store.setQuota(a.id, null, 3);
    await a.do({ t: 'move', from: INBOX, uids: uidRange(1, 3), to: JUNK });
    assert.equal((await a.mailbox(JUNK)).total, 3);
  });
  it('what is used is always the sum over the mailboxes', async (a) => {
    await a.fill(6, ['\\Deleted']);
    await a.commit(
      { t: 'copy', from: INBOX, uids: uids(1, 2, 3), to: JUNK },
      { t: 'move', from: INBOX, uids: uids(4), to: JUNK },
      { t: 'expunge', mailbox: INBOX, uids: uids(5), onlyDeleted: true },
      store(uids(6), 'remove', ['\\Deleted']),
    );
    const check = async () => {
      const list = await a.store.mailboxes(a.id);
      const state = (await a.store.account(a.id))!;
      assert.equal(
        state.usedBytes,
        list.reduce((sum, mailbox) => sum + mailbox.bytes, 0),
      );
      assert.equal(
        state.usedMessages,
        list.reduce((sum, mailbox) => sum + mailbox.total, 0),
      );
      return state.usedMessages;
    };
    assert.equal(await check(), 8);
    await a.do({ t: 'deleteMailbox', mailbox: JUNK });
    assert.equal(await check(), 4);
    await a.do(expungeAll);
    assert.equal(await check(), 0);
  });

  it('messages are found by Message-ID wherever they are, until expunged', async (a) => {
    const content = contentInput({ messageId: '<find-me@example.org>', blob: blobOf('x') });
    await a.commit(
      append({ content }),
      append(),
      append({ mailbox: JUNK, content: { ...contentInput(), messageId: '<find-me@example.org>' } }),
    );
    await a.do({ t: 'copy', from: INBOX, uids: uids(1), to: JUNK });
    const found = async (id = '<find-me@example.org>') =>
      (await a.store.findByMessageId(a.id, id)).map((row) => `${row.mailbox} ${row.uid}`).sort();
    assert.deepEqual(await found(), [`${INBOX} 1`, `${JUNK} 1`, `${JUNK} 2`]);
    await a.do({ t: 'expunge', mailbox: JUNK, uids: uids(2), onlyDeleted: false });
    assert.deepEqual(await found(), [`${INBOX} 1`, `${JUNK} 1`]);
    assert.deepEqual(await found('<FIND-ME@example.org>'), []);
  });
  it('at most 100 messages are found by one Message-ID', async (a) => {
    await a.do(append({ content: contentInput({ messageId: '<many@example.org>' }) }));
    for (let count = 1; count < 128; count *= 2)
      await a.do({ t: 'copy', from: INBOX, uids: uidRange(1, count), to: INBOX });
    assert.equal((await a.store.findByMessageId(a.id, '<many@example.org>')).length, 100);
  });
}
