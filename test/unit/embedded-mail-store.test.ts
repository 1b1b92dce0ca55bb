/** The embedded mail store keeps the port's promises, and some of its own: shards, broken files, a full disk. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { type MailError, TemporaryError } from '../../core/mail/errors.ts';
import { EmbeddedMailStore } from '../../drivers/embedded/mail-store.ts';
import { mailStoreContract } from '../contract/mail-store.contract.ts';
import {
  append,
  blobOf,
  contentInput,
  INBOX,
  JUNK,
  START,
  store as storeFlags,
  TestAccount,
  uids,
} from '../contract/mail-store-fixtures.ts';

mailStoreContract('embedded', async () => {
  const root = await mkdtemp(join(tmpdir(), 'mailmesh-mail-store-'));
  const clock = { now: START };
  const start = async (folder: string): Promise<EmbeddedMailStore> => {
    const store = new EmbeddedMailStore({ folder, now: () => clock.now });
    await store.open();
    return store;
  };
  let store = await start(join(root, 'a'));
  return {
    store,
    clock,
    reopen: async () => {
      await store.close();
      store = await start(join(root, 'a'));
      return store;
    },
    openBackup: start,
    close: async () => {
      await store.close();
      await rm(root, { recursive: true });
    },
  };
});

const newStore = (folder: string, shards = 2) => new EmbeddedMailStore({ folder, shards, now: () => START });
const temporary = (error: unknown): boolean => error instanceof TemporaryError;

async function inFolder(run: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'mailmesh-mail-store-'));
  try {
    await run(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** A store with an account in each of its two shards, in the shards' order; closed again. */
async function twoAccounts(folder: string, messages: number): Promise<[TestAccount, TestAccount]> {
  const store = newStore(folder);
  await store.open();
  const accounts: (TestAccount | undefined)[] = [undefined, undefined];
  while (accounts.includes(undefined)) {
    const account = await TestAccount.create(store);
    for (let i = 0; i < messages; i += 100) await account.fill(Math.min(100, messages - i));
    for (const index of [0, 1]) {
      const db = new DatabaseSync(join(folder, `mail-${index}.db`), { readOnly: true });
      if (db.prepare('SELECT 1 FROM accounts WHERE id = ?').get(account.id) !== undefined) accounts[index] ??= account;
      db.close();
    }
  }
  await store.close();
  return accounts as [TestAccount, TestAccount];
}

/** Opens the folder's store for the accounts, and closes it whatever happens. */
async function withStore(
  folder: string,
  accounts: readonly TestAccount[],
  run: (store: EmbeddedMailStore) => Promise<void>,
  shards = 2,
): Promise<void> {
  const store = newStore(folder, shards);
  await store.open();
  for (const account of accounts) account.store = store;
  try {
    await run(store);
  } finally {
    await store.close();
  }
}

async function overwrite(file: string, position: number, bytes: Uint8Array): Promise<void> {
  const handle = await open(file, 'r+');
  await handle.write(bytes, 0, bytes.length, position);
  await handle.close();
}

test('an account stays in its shard whatever number of shards is asked for later', () =>
  inFolder(async (folder) => {
    const accounts = await twoAccounts(folder, 1);
    await withStore(
      folder,
      accounts,
      async (store) => {
        for (const account of accounts) assert.equal((await store.mailboxes(account.id))[0]!.total, 1);
      },
      7,
    );
  }));

test('a lease that its owner could not give back before it ended keeps nobody waiting', () =>
  inFolder(async (folder) => {
    const accounts = await twoAccounts(folder, 1);
    await withStore(folder, accounts, async (store) => {
      const [{ id, epoch }] = accounts;
      const next = await store.lease(id, 'the next process', 1000);
      assert(next!.epoch > epoch);
      assert.equal(await store.lease(id, 'another', 1000), undefined);
    });
  }));

test('a shard whose file is no database is named, answers with temporary failures, and leaves the other alone', () =>
  inFolder(async (folder) => {
    const [broken, sound] = await twoAccounts(folder, 3);
    await overwrite(join(folder, 'mail-0.db'), 0, Buffer.alloc(100, 0xa5));
    await withStore(folder, [broken, sound], async (store) => {
      assert.deepEqual(await sound.fill(1), [4]);
      await assert.rejects(broken.mailbox(), temporary);
      await assert.rejects(broken.commit(append()), temporary);
      await assert.rejects(store.columns(broken.id, INBOX), temporary);
      // Nobody may take a blob for dead while a shard can not be asked.
      await assert.rejects(store.liveBlobs([blobOf('x')]), temporary);
      assert.equal(await store.gc(START, 10), false);
      assert((await store.stats()).messages > 0);
      const damage = await store.verify(false);
      assert.equal(damage.length, 1);
      assert(damage[0]!.what.endsWith('mail-0.db'));
    });
  }));

test('a store without any sound shard does not open, nor does one of a newer version', () =>
  inFolder(async (folder) => {
    await twoAccounts(folder, 1);
    const db = new DatabaseSync(join(folder, 'mail-1.db'));
    db.exec('PRAGMA user_version = 99');
    db.close();
    await assert.rejects(newStore(folder).open(), /newer version/);
    for (const index of [0, 1]) await writeFile(join(folder, `mail-${index}.db`), Buffer.alloc(8192, 0x5a));
    await assert.rejects(newStore(folder).open(), temporary);
  }));

test('a broken page is found by verify, which names the file, and the other shard goes on', () =>
  inFolder(async (folder) => {
    const [broken, sound] = await twoAccounts(folder, 500);
    const file = join(folder, 'mail-0.db');
    for (let page = 30; page < 200; page += 7) await overwrite(file, page * 4096, Buffer.alloc(4096, 0xee));
    await withStore(folder, [broken, sound], async (store) => {
      const damage = await store.verify(true);
      assert(damage.length > 0);
      assert(damage.every(({ what }) => what.includes('mail-0.db')));
      assert.equal((await sound.columns()).uids.length, 500);
      await sound.fill(1);
      const ids = [...(await sound.columns()).contents];
      assert.equal((await store.contents(sound.id, ids as never, ['envelope'])).length, 501);
      await assert.rejects(async () => {
        const columns = await broken.columns();
        await store.contents(broken.id, [...columns.contents] as never, ['layout', 'envelope', 'structure']);
      }, temporary);
    });
  }));

test('counters and references that do not fit the rows are told, and repaired', () =>
  inFolder(async (folder) => {
    const [a] = await twoAccounts(folder, 6);
    const db = new DatabaseSync(join(folder, 'mail-0.db'));
    const { key } = db.prepare('SELECT key FROM accounts WHERE id = ?').get(a.id) as { key: number };
    db.exec(`
      UPDATE mailboxes SET total = 9, unseen = 1, bytes = bytes + 5, uid_next = 2, tombstones = 3 WHERE account = ${key} AND name = 'INBOX';
      UPDATE accounts SET used_bytes = 1, used_messages = 77, mod_seq = 1 WHERE key = ${key};
      DELETE FROM contents WHERE id = (${key} << 32 | 2);
      DELETE FROM content_blobs WHERE content = (${key} << 32 | 3);
      UPDATE messages SET flags = 4711 WHERE content = (${key} << 32 | 4);
      DELETE FROM messages WHERE content = (${key} << 32 | 5);
      INSERT INTO messages VALUES ((900 << 32 | 1), 900, 1, 1, 1, 1, 1, (${key} << 32 | 1));
    `);
    db.close();
    await withStore(folder, [a], async (store) => {
      const told = (await store.verify(false))
        .map(({ detail, repaired }) => `${detail}${repaired ? '!' : ''}`)
        .join('\n');
      for (const words of [
        /total is 9, counted 5/,
        /uid_next is 2, counted 7/,
        /used_messages is 77/,
        /2 refers to a content/,
        /4 refers to a flag set/,
        /1 refers to a mailbox/,
        /is not linked/,
        /1 without a message/,
      ])
        assert.match(told, words);
      assert(!told.includes('!'));
      const repaired = await store.verify(true);
      assert(repaired.length > 0 && repaired.every((damage) => damage.repaired));
      assert.deepEqual(await store.verify(false), []);
      assert.deepEqual(await a.flags(), { 1: '', 3: '', 4: '', 6: '' });
      assert.deepEqual(await a.vanished(INBOX, 0), [2]);
      assert.equal((await store.account(a.id))!.usedMessages, 4);
      assert.equal((await a.do(append())).uid, 7);
    });
  }));

test('a mailbox without a uid left refuses messages softly', () =>
  inFolder(async (folder) => {
    const [a] = await twoAccounts(folder, 2);
    const db = new DatabaseSync(join(folder, 'mail-0.db'));
    db.exec("UPDATE mailboxes SET uid_next = 4294967295 WHERE name = 'INBOX'");
    db.close();
    await withStore(folder, [a], async () => {
      assert.equal(await a.why({ t: 'copy', from: INBOX, uids: uids(1, 2), to: INBOX }), 'uidsExhausted');
      assert.equal((await a.do(append())).uid, 4_294_967_295);
      assert.equal(await a.why(append()), 'uidsExhausted');
      assert.deepEqual((await a.do(storeFlags(uids(4_294_967_295), 'add', ['\\Seen']))).stored.length, 1);
      assert.deepEqual(await a.uids(), [1, 2, 4_294_967_295]);
    });
  }));

test('packed keys beyond 2^53 work: the store takes two thousand million mailboxes', () =>
  inFolder(async (folder) => {
    const [a] = await twoAccounts(folder, 0);
    const db = new DatabaseSync(join(folder, 'mail-0.db'));
    const last = 2 ** 31 - 1;
    db.exec(`UPDATE accounts SET key = ${last} WHERE id = '${a.id}';
      UPDATE mailboxes SET account = ${last}, key = ${last} - (name = 'INBOX')
        WHERE account = (SELECT min(account) FROM mailboxes)`);
    db.close();
    await withStore(folder, [a], async (store) => {
      await a.fill(20);
      const { content } = await a.do(append({ dedupe: 'x' }));
      await a.do(storeFlags(uids(1, 2), 'add', ['\\Deleted']));
      await a.do({ t: 'move', from: INBOX, uids: uids(5, 21), to: JUNK });
      await a.do({ t: 'expunge', mailbox: INBOX, uids: null, onlyDeleted: true });
      while (await store.gc(START, 10));
      assert.deepEqual(
        [(await a.uids()).length, await a.uids(JUNK), await a.vanished(null, 0)],
        [17, [1, 2], [1, 2, 5, 21]],
      );
      assert.equal((await store.contents(a.id, [content], ['size']))[0]!.id, content);
      assert.deepEqual(await store.verify(true), []);
      await store.deleteAccount(a.id);
      assert.deepEqual(await store.verify(false), []);
    });
  }));

test('on a full disk commits fail with diskFull and change nothing, reading goes on, and space given back is enough', (context) =>
  inFolder(async (folder) => {
    const mounted = spawnSync('/bin/mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', folder]);
    if (mounted.status !== 0) return context.skip('a small file system can not be mounted here');
    const store = newStore(folder);
    try {
      await store.open();
      const a = await TestAccount.create(store);
      const big = () => append({ content: contentInput({ structure: new Uint8Array(50_000) }) });
      await writeFile(join(folder, 'ballast'), Buffer.alloc(1 << 20));
      let kept = 0;
      const failure = await (async () => {
        for (;;) {
          await a.do(big());
          kept++;
        }
      })().catch((error: MailError) => error);
      assert(failure instanceof TemporaryError && failure.reply === 'diskFull', String(failure));
      const several = await Promise.allSettled(Array.from({ length: 10 }, () => a.do(big())));
      kept += several.filter((one) => one.status === 'fulfilled').length;
      assert.deepEqual([(await a.mailbox()).total, (await a.columns()).uids.length], [kept, kept]);
      await rm(join(folder, 'ballast'));
      await a.do(big());
      assert.equal((await a.mailbox()).total, kept + 1);
      assert.deepEqual(await store.verify(false), []);
    } finally {
      await store.close();
      spawnSync('/bin/umount', [folder]);
    }
  }));
