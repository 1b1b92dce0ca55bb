/** Goal: a full queue takes no mail until it has room again, and asking whether it is full costs nothing per message. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { QueueDepth } from '../../core/ports/queue.ts';
import { QueueRoom } from '../../mixins/queue-room.ts';

function queueOf(waiting: () => number) {
  let asked = 0;
  const none = { blocked: 0, ready: 0, running: 0, waiting: 0, dead: 0, oldestMs: 0 };
  const depth = async (): Promise<readonly QueueDepth[]> => {
    asked++;
    const delivery: QueueDepth = { ...none, stage: 'delivery', blocked: waiting(), dead: 1_000 };
    return [{ ...none, stage: 'spam', ready: 1_000 }, delivery];
  };
  return { queue: { depth }, asked: () => asked };
}

test('messages that wait for delivery fill it; dead ones do not', async () => {
  let waiting = 0;
  const { queue } = queueOf(() => waiting);
  const room = new QueueRoom(queue, 160);
  let now = 0;
  while (!(await room.isFull(now)) && waiting < 1_000) {
    room.accepted();
    waiting++;
    now += 10;
  }
  assert.ok(waiting >= 160 && waiting <= 170, `refused at ${waiting}`);
  waiting = 159;
  assert.equal(await room.isFull(now), true, 'it is not asked again and again');
  assert.equal(await room.isFull(now + 1_000), false);
});

test('it is measured once per many messages, and once by many sessions', async () => {
  const { queue, asked } = queueOf(() => 0);
  const room = new QueueRoom(queue, 16_000);
  for (let i = 0; i < 10_000; i++) {
    room.accepted();
    await Promise.all([room.isFull(i), room.isFull(i), room.isFull(i)]);
  }
  assert.equal(asked(), 10);
});

test('a queue that cannot be asked is not taken for one with room', async () => {
  const room = new QueueRoom({ depth: () => Promise.reject(new Error('down')) }, 1);
  room.accepted();
  await assert.rejects(async () => room.isFull(0), /down/);
});
