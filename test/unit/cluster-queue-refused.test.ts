/** Refusals that the database is too slow for are let go instead of being held, however many come. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { TemporaryError } from '../../core/mail/errors.ts';
import { RefusedMessages } from '../../drivers/cluster/queue-refused.ts';
import { NOW, refusal } from '../contract/queue-fixture.ts';
import { MemoryMongo } from '../support/memory-mongo.ts';

const REFUSALS = 20_000;

test('a flood of refusals while the database does not answer is not held in memory', async () => {
  const { promise: answer, resolve } = Promise.withResolvers<void>();
  const mongo = MemoryMongo.server()(() => answer);
  const refused = new RefusedMessages(mongo);
  let lost = 0;
  const kept = Array.from({ length: REFUSALS }, (_, i) =>
    refused.add(refusal(i), NOW + i).then(
      () => true,
      (error: unknown) => {
        assert.ok(error instanceof TemporaryError);
        lost++;
        return false;
      },
    ),
  );
  // All that is decided without the database.
  await nextTurn();
  assert.ok(lost > REFUSALS / 2, `${REFUSALS - lost} wait`);
  resolve();
  const stored = (await Promise.all(kept)).filter(Boolean).length;
  assert.equal(stored, REFUSALS - lost);
  const found = await mongo.collection<{ _id: string }>('queue-refused').find({ filter: {} });
  assert.equal(found.length, stored);
});
