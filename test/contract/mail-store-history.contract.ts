/** CONDSTORE and QRESYNC: what changed since (RFC 7162), and columns of large mailboxes. */

import assert from 'node:assert/strict';
import { type MailboxId, type ModSeq, mailboxId, modSeq } from '../../core/mail/ids.ts';
import {
  append,
  type Case,
  INBOX,
  JUNK,
  newMailboxId,
  store,
  type TestAccount,
  uidRange,
  uids,
} from './mail-store-fixtures.ts';

/** Everything since, asked for in pieces: `mailbox uid modSeq` of each entry, sorted. */
async function inPieces(
  a: TestAccount,
  mailbox: MailboxId | null,
  limit: number,
): Promise<{ all: string[]; calls: number }> {
  const all: string[] = [];
  const top = await a.modSeq();
  let calls = 0;
  for (let since: ModSeq = modSeq(0); ; ) {
    const { upTo, more, changed, vanished, tooOld } = await a.store.changes(a.id, mailbox, since, limit);
    assert.equal(tooOld, false);
    for (const one of [...changed, ...vanished]) {
      assert(one.modSeq > since && one.modSeq <= upTo);
      all.push(`${one.mailbox} ${one.uid} ${one.modSeq}`);
    }
    calls++;
    assert(upTo > since || upTo === top);
    assert.equal(more, upTo < top);
    since = upTo;
    if (since === top) return { all: all.sort(), calls };
  }
}

export function historyCases(it: Case): void {
  it('changes are the rows as they are now and the uids that vanished', async (a) => {
    await a.fill(4);
    const since = await a.modSeq();
    await a.do(store(uids(1), 'add', ['\\Seen']));
    await a.do(store(uids(1), 'add', ['\\Flagged']));
    await a.do({ t: 'expunge', mailbox: INBOX, uids: uids(3), onlyDeleted: false });
    await a.fill(1);
    const { upTo, more, changed, vanished, tooOld } = await a.store.changes(a.id, INBOX, since);
    assert.deepEqual([upTo, more, tooOld], [since + 4, false, false]);
    assert.deepEqual(changed, await a.store.rows(a.id, INBOX, uids(1, 5)));
    assert.deepEqual(
      changed.map((row) => row.created > since),
      [false, true],
    );
    assert.deepEqual(vanished, [{ mailbox: INBOX, uid: 3, modSeq: since + 3 }]);
  });
  it('there are no changes behind the newest', async (a) => {
    await a.fill(2);
    const since = await a.modSeq();
    assert.deepEqual(await a.store.changes(a.id, INBOX, since), {
      upTo: since,
      more: false,
      changed: [],
      vanished: [],
      tooOld: false,
    });
  });
  it('a message that came and went since is only vanished', async (a) => {
    const since = await a.modSeq();
    await a.fill(1);
    await a.do({ t: 'expunge', mailbox: INBOX, uids: null, onlyDeleted: false });
    assert.deepEqual([await a.changed(INBOX, since), await a.vanished(INBOX, since)], [[], [1]]);
  });
  it('changes of one mailbox leave the others out, those of all have them in', async (a) => {
    const since = await a.modSeq();
    await a.fill(1);
    await a.do(append({ mailbox: JUNK }));
    await a.do({ t: 'expunge', mailbox: JUNK, uids: null, onlyDeleted: false });
    await a.do(append({ mailbox: JUNK }));
    assert.deepEqual([await a.changed(INBOX, since), await a.vanished(INBOX, since)], [[1], []]);
    assert.deepEqual([await a.changed(JUNK, since), await a.vanished(JUNK, since)], [[2], [1]]);
    assert.deepEqual([await a.changed(null, since), await a.vanished(null, since)], [[1, 2], [1]]);
    const { upTo } = await a.store.changes(a.id, INBOX, since);
    assert.equal(upTo, await a.modSeq());
  });
  it('changes of a mailbox that never was are none', async (a) => {
    await a.fill(1);
    const changes = await a.store.changes(a.id, mailboxId('unknown000000000'), modSeq(0));
    assert.deepEqual([changes.changed, changes.vanished, changes.upTo], [[], [], await a.modSeq()]);
  });
  it('a limit cuts between modSeqs, and going on from there misses nothing', async (a) => {
    for (let i = 0; i < 12; i++) {
      await a.fill(1 + (i % 4));
      if (i % 3 === 2) await a.do({ t: 'move', from: INBOX, uids: uids(i, i + 1), to: JUNK });
    }
    for (const mailbox of [INBOX, JUNK, null]) {
      const whole = await inPieces(a, mailbox, 10_000);
      assert.equal(whole.calls, 1);
      assert.equal(new Set(whole.all).size, whole.all.length);
      for (const limit of [1, 2, 3, 7, 20]) {
        const pieces = await inPieces(a, mailbox, limit);
        assert.deepEqual(pieces.all, whole.all);
        if (limit < 4 && mailbox === null) assert(pieces.calls > 5);
      }
    }
  });
  it('one modSeq larger than the limit comes whole', async (a) => {
    await a.fill(50);
    await a.fill(1);
    const { upTo, changed } = await a.store.changes(a.id, INBOX, modSeq(0), 10);
    assert.deepEqual([changed.length, upTo], [50, (await a.modSeq()) - 1]);
  });
  it('changes over many mailboxes come in pieces as well', async (a) => {
    const ids = Array.from({ length: 8 }, () => newMailboxId());
    await a.commit(...ids.map((id, i) => ({ t: 'createMailbox' as const, id, name: `m${i}`, role: null })));
    for (let i = 0; i < 40; i++) await a.do(append({ mailbox: ids[(i * 5) % 8]! }));
    await a.do({ t: 'deleteMailbox', mailbox: ids[0]! });
    const whole = await inPieces(a, null, 10_000);
    assert.equal(whole.all.length, 40);
    assert.deepEqual((await inPieces(a, null, 6)).all, whole.all);
  });
  it('the account shows a floor at or below which nothing was forgotten yet', async (a) => {
    await a.fill(1);
    assert.equal((await a.store.account(a.id))!.floor, 0);
    assert.equal((await a.store.changes(a.id, null, modSeq(0))).tooOld, false);
  });

  it('columns and rows of a large mailbox say the same', async (a, { large = 16_000 }) => {
    await a.fill(250, ['\\Seen']);
    await a.fill(250, ['\\Flagged', 'k']);
    for (let count = 500; count < large; count *= 2)
      await a.do({ t: 'copy', from: INBOX, uids: uidRange(1, Math.min(count, large - count)), to: INBOX });
    await a.do({ t: 'expunge', mailbox: INBOX, uids: uidRange(4001, 4100), onlyDeleted: false });
    const columns = await a.columns();
    const rows = await a.store.rows(a.id, INBOX, uidRange(1, large));
    assert.equal(rows.length, large - 100);
    assert.deepEqual(
      [...columns.uids],
      rows.map((row) => row.uid),
    );
    assert.deepEqual(
      [...columns.flags].map((i) => columns.flagSets[i]),
      rows.map((row) => row.flags),
    );
    assert.deepEqual(
      [...columns.modSeqs],
      rows.map((row) => row.modSeq),
    );
    assert.deepEqual(
      [...columns.dates],
      rows.map((row) => row.internalDate),
    );
    assert.deepEqual(
      [...columns.sizes],
      rows.map((row) => row.size),
    );
    assert.deepEqual(
      [...columns.contents],
      rows.map((row) => row.content),
    );
    assert.deepEqual(columns.mailbox, await a.mailbox());
    assert.equal(columns.mailbox.total, large - 100);
    assert.equal(columns.upTo, await a.modSeq());
  });
  it('columns read while others write are a picture of one moment', async (a, { large = 16_000 }) => {
    await a.fill(500);
    for (let count = 500; count < large; count *= 2)
      await a.do({ t: 'copy', from: INBOX, uids: uidRange(1, Math.min(count, large - count)), to: INBOX });
    const writes = Array.from({ length: 30 }, (_, i) => a.do({ t: 'move', from: INBOX, uids: uids(i + 1), to: JUNK }));
    const pictures = await Promise.all(Array.from({ length: 6 }, () => a.columns()));
    await Promise.all(writes);
    for (const { mailbox, uids: list, upTo, modSeqs } of pictures) {
      assert.equal(mailbox.total, list.length);
      assert(upTo >= mailbox.modSeq && modSeqs.every((at) => at <= mailbox.modSeq));
    }
  });
  it('columns of a mailbox that is not there are undefined', async (a) => {
    assert.equal(await a.store.columns(a.id, mailboxId('unknown000000000')), undefined);
  });
}
