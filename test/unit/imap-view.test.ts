/** The shared columns and the caches around them, where a property would seldom come by. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ColumnsCache } from '../../core/imap/columns-cache.ts';
import { ContentCache } from '../../core/imap/content-cache.ts';
import { MailboxColumns } from '../../core/imap/mailbox-columns.ts';
import type { Rows } from '../../core/imap/packed-rows.ts';
import { SeqMap } from '../../core/imap/seq-map.ts';
import { flagSet } from '../../core/mail/flags.ts';
import { accountId, contentId, mailboxId } from '../../core/mail/ids.ts';
import type { Changes, MailStoreReader } from '../../core/ports/mail-store.ts';
import { ACCOUNT, MAILBOX, MemoryMailbox } from '../support/memory-mailbox.ts';

const columnsOf = (box: MemoryMailbox, store = box.asStore()): MailboxColumns =>
  new MailboxColumns(store, ACCOUNT, box.columns());

const uidsOf = (rows: Rows): number[] => [...rows.uids.subarray(0, rows.length)];
const flagsOf = (rows: Rows): string[] =>
  Array.from(rows.flags.subarray(0, rows.length), (number) => rows.table.get(number).names.join(' '));

test('ghosts keep their flags when the columns have been read anew meanwhile', async () => {
  const box = new MemoryMailbox();
  for (const flag of ['a', 'b', 'c', 'd']) box.append([flag]);
  const columns = columnsOf(box);
  const map = new SeqMap(columns.rows);
  map.tell(4);
  columns.watch({ gone: (rows) => map.gone(rows) });
  box.expunge(new Set([1]));
  await columns.refresh();
  box.expunge(new Set([2]));
  box.store(new Set([3]), 'replace', flagSet(['z']));
  box.forgetHistory();
  await columns.refresh();
  box.expunge(new Set([4]));
  await columns.refresh();
  assert.deepEqual(uidsOf(map.ghosts!), [1, 2, 4]);
  assert.deepEqual(flagsOf(map.ghosts!), ['a', 'b', 'd']);
  assert.deepEqual(flagsOf(columns.rows), ['z']);
  assert.equal(map.count, 4);
});

test('a refresh that is asked for while another runs sees what was committed in between', async () => {
  const box = new MemoryMailbox();
  const store = box.asStore();
  const gate = Promise.withResolvers<void>();
  const slow: MailStoreReader = {
    ...store,
    changes: async (account, mailbox, since) => {
      const answer = await store.changes(account, mailbox, since);
      await gate.promise;
      return answer;
    },
  };
  const columns = columnsOf(box, slow);
  const first = columns.refresh();
  box.append([]);
  const second = columns.refresh();
  const third = columns.refresh();
  gate.resolve();
  await first;
  assert.equal(columns.rows.length, 0);
  await Promise.all([second, third]);
  assert.equal(columns.rows.length, 1);
});

test('a refresh that fails is tried again by the next', async () => {
  const box = new MemoryMailbox();
  const store = box.asStore();
  let broken = true;
  const columns = columnsOf(box, {
    ...store,
    changes: async (account, mailbox, since) => {
      if (broken) throw new Error('away');
      return await store.changes(account, mailbox, since);
    },
  });
  box.append([]);
  const both = await Promise.allSettled([columns.refresh(), columns.refresh()]);
  assert.deepEqual(
    both.map(({ status }) => status),
    ['rejected', 'rejected'],
  );
  broken = false;
  await columns.refresh();
  assert.equal(columns.rows.length, 1);
});

test('looking ends although more comes with every look', async () => {
  const box = new MemoryMailbox();
  let calls = 0;
  const columns = columnsOf(new MemoryMailbox(), {
    ...box.asStore(),
    changes: async (_account, _mailbox, since): Promise<Changes> => {
      calls++;
      box.append([]);
      return box.changes(since);
    },
  });
  await columns.refresh();
  assert.deepEqual([calls, uidsOf(columns.rows)], [1, [1]]);
});

test('history that comes in pieces is shown when it is whole', async () => {
  const box = new MemoryMailbox();
  box.append([]);
  box.append([]);
  // The first message changes last, so a cut answer has the second one only.
  box.store(new Set([1]), 'add', flagSet(['\\Seen']));
  let calls = 0;
  const columns = columnsOf(new MemoryMailbox(), {
    ...box.asStore(),
    changes: async (_account, _mailbox, since): Promise<Changes> => {
      assert.deepEqual(uidsOf(columns.rows), []);
      calls++;
      const all = box.changes(since);
      const upTo = all.changed[0]?.modSeq ?? all.upTo;
      return { ...all, upTo, more: upTo < all.upTo, changed: all.changed.filter((row) => row.modSeq <= upTo) };
    },
  });
  await columns.refresh();
  assert.equal(calls, 2);
  assert.deepEqual(uidsOf(columns.rows), [1, 2]);
  assert.deepEqual(flagsOf(columns.rows), ['\\Seen', '']);
});

test('a table full of flag sets that nobody has is renewed', async () => {
  const box = new MemoryMailbox();
  box.append([]);
  box.append(['kept']);
  const columns = columnsOf(box);
  const { table } = columns.rows;
  for (let n = 0; n < 5_000; n++) table.number(flagSet([`k${n}`]));
  box.store(new Set([1]), 'add', flagSet(['\\Seen']));
  await columns.refresh();
  assert.deepEqual(flagsOf(columns.rows), ['\\Seen', 'kept']);
  assert.equal(columns.rows.table.size, 2);
  assert.deepEqual(columns.rows.table.keywords, ['kept']);
});

test('columns are loaded once for all sessions and kept for the next one', async () => {
  const box = new MemoryMailbox();
  box.append([]);
  let loads = 0;
  const store = box.asStore();
  const cache = new ColumnsCache({
    ...store,
    columns: async (account, mailbox) => {
      loads++;
      return mailbox === MAILBOX ? await store.columns(account, mailbox) : undefined;
    },
  });
  const [a, b] = await Promise.all([cache.acquire(ACCOUNT, MAILBOX), cache.acquire(ACCOUNT, MAILBOX)]);
  assert.equal(a, b);
  cache.release(a!);
  cache.release(b!);
  box.append([]);
  const c = await cache.acquire(ACCOUNT, MAILBOX);
  assert.equal(c, a);
  assert.equal(c!.rows.length, 2);
  assert.equal(loads, 1);
  assert.equal(await cache.acquire(ACCOUNT, mailboxId('none')), undefined);
  assert.equal(await cache.acquire(ACCOUNT, mailboxId('none')), undefined);
  assert.equal(loads, 3);
});

test('a mailbox that could not be loaded is asked for again', async () => {
  const box = new MemoryMailbox();
  const store = box.asStore();
  let broken = true;
  const cache = new ColumnsCache({
    ...store,
    columns: async (account, mailbox) => {
      if (broken) throw new Error('away');
      return await store.columns(account, mailbox);
    },
  });
  await assert.rejects(cache.acquire(ACCOUNT, MAILBOX), /away/);
  broken = false;
  assert.notEqual(await cache.acquire(ACCOUNT, MAILBOX), undefined);
});

test('the content cache keeps bytes apart by account and forgets the oldest', () => {
  const cache = new ContentCache(4 * 1024 * 1024);
  const other = accountId('other');
  const bytes = (n: number): Uint8Array => Buffer.alloc(1_000, n);
  for (let n = 0; n < 2_000; n++) cache.set(n % 2 === 0 ? ACCOUNT : other, contentId(n), bytes(n));
  for (let n = 0; n < 2_000; n++) {
    assert.deepEqual(cache.get(n % 2 === 0 ? ACCOUNT : other, contentId(n)), Buffer.alloc(1_000, n));
    assert.equal(cache.get(n % 2 === 0 ? other : ACCOUNT, contentId(n)), undefined);
  }
  for (let n = 2_000; n < 10_000; n++) cache.set(ACCOUNT, contentId(n), bytes(n));
  assert.equal(cache.get(ACCOUNT, contentId(0)), undefined);
  assert.equal(cache.get(other, contentId(1)), undefined);
  assert.deepEqual(cache.get(ACCOUNT, contentId(9_999)), Buffer.alloc(1_000, 9_999));
  cache.set(other, contentId(1), bytes(7));
  assert.deepEqual(cache.get(other, contentId(1)), bytes(7) as Buffer);
  cache.set(other, contentId(2), Buffer.alloc(1024 * 1024));
  assert.equal(cache.get(other, contentId(2)), undefined);
});
