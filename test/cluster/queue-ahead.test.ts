/** Pointers are taken from NATS as far as there is somebody to take them: the others are left to the other nodes. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LEASE, message, NOW, plan } from '../contract/queue-fixture.ts';
import { missing } from './cluster-fixture.ts';
import { queueNodes } from './queue-nodes.ts';

const MESSAGES = 200;
/** Of one node, for one stage: more than it has at hand, and far fewer than there are. */
const AHEAD_MAX = 32;

test('a node that does not claim any more leaves pointers to the others', { skip: missing }, async () => {
  const { nats, prefix, clock, open } = await queueNodes(NOW + MESSAGES);
  const pending = async (): Promise<{ taken: number; left: number }> => {
    const { num_ack_pending: taken, num_pending: left } = await nats.manager!.consumers.info(`${prefix}-jobs`, 'spam');
    return { taken, left };
  };
  const claim = { max: 4, leaseMs: LEASE, now: clock.now };
  const [idle, source] = [await open('idle'), await open('source')];
  try {
    // As upkeep does for a stage that runs nowhere, or a node that is about to stop.
    assert.deepEqual(await idle.claim('spam', claim), []);
    await Promise.all(Array.from({ length: MESSAGES }, (_, i) => source.accept(message(i), plan(['spam']))));
    // All have been sent, and what is going to be taken is.
    let last = { taken: -1, left: -1 };
    for (let same = 0; same < 20; ) {
      const now = await pending();
      same = now.taken === last.taken && now.taken + now.left === MESSAGES ? same + 1 : 0;
      last = now;
    }
    assert.ok(last.taken <= AHEAD_MAX, `${last.taken} of ${MESSAGES} pointers were taken`);
  } finally {
    for (const queue of [idle, source]) await queue.close();
  }
});
