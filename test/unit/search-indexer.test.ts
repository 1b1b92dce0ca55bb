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

test('an account that the stores could not answer for is caught up with when they can', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  let now = 0;
  let away = true;
  let indexed = 0;
  const stores = {
    mail: { changes: async () => ({ changed: [], upTo: 2, more: false, tooOld: false }), contents: async () => [] },
    search: {
      mark: async () => {
        if (away) throw new TemporaryError('storeUnavailable');
        return 1;
      },
      index: async () => void indexed++,
    },
  } as unknown as Stores;
  const failures: unknown[] = [];
  const indexer = new SearchIndexer(
    stores,
    new Intake(),
    () => now,
    (error) => failures.push(error),
  );
  const pass = async (): Promise<void> => {
    now += QUIET_MS;
    t.mock.timers.tick(QUIET_MS);
    for (let turn = 0; turn < 10; turn++) await nextTurn();
  };
  indexer.changed(accountId('a'));
  await pass();
  assert.deepEqual([failures.length, indexed], [1, 0]);
  away = false;
  for (let i = 0; i < 10 && indexed === 0; i++) await pass();
  assert.equal(indexed, 1);
  t.mock.timers.reset();
  await indexer.stop();
});
