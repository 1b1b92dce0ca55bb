/** A database that goes away in the middle of things is the circumstances' doing: no Fault, and no reason for a bad end. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TemporaryError } from '../../core/mail/errors.ts';
import { isBrokenConnection, storeError } from '../../drivers/cluster/mongo-errors.ts';
import { Sessions } from '../../drivers/cluster/queue-sessions.ts';
import { MemoryMongo } from '../support/memory-mongo.ts';

test('what a socket says of itself is an outage, with or without an error of the client around it', () => {
  const said: readonly [string, object][] = [
    ['This socket has been ended by the other party', { code: 'EPIPE' }],
    ['Cannot call write after a stream was destroyed', { code: 'ERR_STREAM_DESTROYED' }],
    ['connect ECONNREFUSED 127.0.0.1:1', { code: 'ECONNREFUSED', syscall: 'connect' }],
  ];
  for (const [message, facts] of said) {
    const error = Object.assign(new Error(message), facts);
    assert.ok(storeError(error) instanceof TemporaryError, message);
    assert.ok(isBrokenConnection(error), message);
  }
  assert.equal(storeError(new TypeError('x is no function')) instanceof TemporaryError, false);
});

test('a process ends in good order while the database is away, and others bury its session', async () => {
  let away = false;
  const server = MemoryMongo.server();
  const mongo = server(async () => {
    if (away) throw new TemporaryError('storeUnavailable', { detail: 'away' });
  });
  const released: string[] = [];
  let now = 1_000;
  const sessions = (node: string): Sessions =>
    new Sessions({
      ...{ mongo, node, now: () => now, newName: () => `${node} ${now}`, renewed: () => undefined },
      release: async (name) => void released.push(name),
    });
  const first = sessions('first');
  await first.open();
  await first.note('spam');
  away = true;
  await first.close();
  away = false;
  now += 60_000;
  // One that takes its place.
  const second = sessions('first');
  await second.open();
  await second.close();
  assert.equal(released[0], 'first 1000');
});
