/** The label outbox: one message that can't be read loses its own label and holds up no other. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import pino from 'pino';
import { Fault, TemporaryError } from '../../core/mail/errors.ts';
import { type AccountId, modSeq } from '../../core/mail/ids.ts';
import type { OutboxEntry } from '../../core/ports/mail-store.ts';
import type { NodeContext } from '../../mixins/context.ts';
import { Feedback } from '../../mixins/feedback.ts';

const entry = (key: string): OutboxEntry => ({
  id: 1,
  modSeq: modSeq(1),
  account: 'a1' as AccountId,
  topic: 'feedback',
  key,
  payload: { key, content: 7, wish: 'spam', source: 'move', at: 0 },
});

function world(trouble: (call: number) => unknown) {
  let outbox = [entry('k1'), entry('k2')];
  let calls = 0;
  const mail = {
    outbox: async () => outbox,
    async outboxDone(_: string, done: readonly OutboxEntry[]) {
      outbox = outbox.filter((one) => !done.includes(one));
    },
    async contents() {
      const error = trouble(++calls);
      if (error !== undefined) throw error;
      return [undefined];
    },
  };
  const context = { stores: { mail }, log: pino({ level: 'silent' }) } as unknown as NodeContext;
  return { feedback: new Feedback(context), left: () => outbox.map(({ key }) => key) };
}

test('a message that is damaged loses its label, and the others are taken', async () => {
  const { feedback, left } = world((call) => (call === 1 ? new Fault('blob is damaged') : undefined));
  assert.equal(await feedback.run(), 0);
  assert.deepEqual(left(), []);
});

test('trouble that passes is waited for: nothing is lost', async () => {
  const { feedback, left } = world((call) => (call === 2 ? new TemporaryError('storeUnavailable') : undefined));
  await assert.rejects(feedback.run());
  assert.deepEqual(left(), ['k1', 'k2']);
  assert.equal(await feedback.run(), 0);
  assert.deepEqual(left(), []);
});

test('a stop leaves what is not begun for the next start', async () => {
  const { feedback, left } = world(() => {
    void feedback.stop();
    return undefined;
  });
  await feedback.run();
  assert.deepEqual(left(), ['k2']);
});
