/** The embedded search store keeps the port's promises, and a broken index is thrown away. */

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { accountId, contentId, modSeq } from '../../core/mail/ids.ts';
import { EmbeddedSearchStore } from '../../drivers/embedded/search-store.ts';
import { searchStoreContract } from '../contract/search-store.contract.ts';

searchStoreContract('embedded', async () => {
  const folder = fs.mkdtempSync(join(tmpdir(), 'mailmesh-search-'));
  let store = new EmbeddedSearchStore({ folder });
  await store.open();
  return {
    store,
    reopen: async () => {
      await store.close();
      store = new EmbeddedSearchStore({ folder });
      await store.open();
      return store;
    },
    dispose: async () => {
      await store.close();
      fs.rmSync(folder, { recursive: true });
    },
  };
});

const account = accountId('aaaaaaaaaaaaaaaa');
const documents = Array.from({ length: 300 }, (_, i) => ({
  account,
  content: contentId(i + 1),
  header: `subject: number ${i}`,
  body: `text of number ${i} `.repeat(50),
  truncated: false,
}));

async function withBroken(damage: (file: string) => void, check: (store: EmbeddedSearchStore) => Promise<void>) {
  const folder = fs.mkdtempSync(join(tmpdir(), 'mailmesh-search-'));
  let store = new EmbeddedSearchStore({ folder });
  try {
    await store.open();
    await store.index(documents, [{ account, mark: modSeq(7) }]);
    await store.close();
    damage(join(folder, 'search.db'));
    store = new EmbeddedSearchStore({ folder });
    await store.open();
    await check(store);
    await store.close();
    store = new EmbeddedSearchStore({ folder });
    await store.open();
    assert.equal(await store.mark(account), 0);
    await store.index(documents, [{ account, mark: modSeq(7) }]);
    assert.equal((await store.candidates(account, 'body', ['number 77']))?.contents.has(contentId(78)), true);
  } finally {
    await store.close();
    fs.rmSync(folder, { recursive: true });
  }
}

test('embedded search store: a file that is no database is replaced by an empty index', () =>
  withBroken(
    (file) => fs.writeFileSync(file, 'not a database '.repeat(1000)),
    async (store) => assert.equal(await store.mark(account), 0),
  ));

test('embedded search store: a damaged index narrows nothing, and is replaced at the next start', () =>
  withBroken(
    (file) => {
      const db = new DatabaseSync(file, { defensive: false });
      db.exec('UPDATE bodies_data SET block = zeroblob(length(block)) WHERE id > 10');
      db.close();
    },
    async (store) => assert.equal(await store.candidates(account, 'body', ['number 77']), null),
  ));
