/** When the search index is filled: one account at a time, whatever comes meanwhile. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { TemporaryError } from '../../core/mail/errors.ts';
import { type AccountId, accountId } from '../../core/mail/ids.ts';
import { Intake } from '../../mixins/pace.ts';
import { SearchIndexer } from '../../mixins/search-indexer.ts';
import type { Stores } from '../../mixins/storage.ts';

/** Longer than an account must be quiet for. */
const QUIET_MS = 3_000;

test('accounts that change while another is caught up with wait for it', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  let now = 0;
  const asked: AccountId[] = [];
  const answers: (() => void)[] = [];
  const stores = {
    mail: {
      changes: (account: AccountId) => {
        asked.push(account);
        return new Promise((resolve) =>
          answers.push(() => resolve({ changed: [], upTo: 1, more: false, tooOld: false })),
        );
      },
      contents: async () => [],
    },
    search: { mark: async () => 1, index: async () => {} },
  } as unknown as Stores;
  const indexer = new SearchIndexer(
    stores,
    new Intake(),
    () => now,
    (error) => assert.fail(error as Error),
  );
  const pass = async (): Promise<void> => {
    now += QUIET_MS;
    t.mock.timers.tick(QUIET_MS);
    for (let turn = 0; turn < 10; turn++) await nextTurn();
  };
  const [first, second] = [accountId('a'), accountId('b')];

  indexer.changed(first);
  await pass();
  assert.deepEqual(asked, [first]);

  indexer.changed(first);
  indexer.changed(second);
  await pass();
  await pass();
  assert.deepEqual(asked, [first], 'its answer is still awaited');

  answers.shift()!();
  for (let i = 0; i < 2; i++) {
    await pass();
    assert.equal(asked.length, 2 + i);
    answers.shift()!();
  }
  await pass();
  assert.deepEqual(asked.slice(1).sort(), [first, second]);
  t.mock.timers.reset();
  await indexer.stop();
});

test('an account that cannot be indexed keeps no other from its turn; while the store is away all wait', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  let now = 0;
  let away = false;
  const asked: AccountId[] = [];
  const failures: string[] = [];
  const stores = {
    mail: {
      changes: async (account: AccountId) => {
        asked.push(account);
        if (away) throw new TemporaryError('storeUnavailable');
        if (account === accountId('b')) throw new Error('no such account');
        return { changed: [], upTo: 1, more: false, tooOld: false };
      },
      contents: async () => [],
    },
    search: { mark: async () => 1, index: async () => {} },
  } as unknown as Stores;
  const indexer = new SearchIndexer(
    stores,
    new Intake(),
    () => now,
    (error) => failures.push((error as Error).message),
  );
  const pass = async (): Promise<void> => {
    now += QUIET_MS;
    t.mock.timers.tick(QUIET_MS);
    for (let turn = 0; turn < 20; turn++) await nextTurn();
  };
  const all = ['a', 'b', 'c'].map(accountId);
  for (const account of all) indexer.changed(account);
  await pass();
  assert.deepEqual([asked.splice(0), failures.splice(0)], [all, ['no such account']]);
  away = true;
  for (const account of all) indexer.changed(account);
  for (let i = 0; i < 3; i++) await pass();
  assert.ok(asked.length >= 2 && asked.length <= 3, `${asked.length} asked`);
  away = false;
  asked.length = 0;
  for (let i = 0; i < 3; i++) await pass();
  assert.deepEqual([...new Set(asked)].sort(), all);
  t.mock.timers.reset();
  await indexer.stop();
});
