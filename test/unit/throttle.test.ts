/** Goal: guessing gets slower with each failure, in bounded memory, and nobody can lock a user out by it. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Throttle } from '../../core/sasl/throttle.ts';

const OPTIONS = { failuresFree: 3, firstWaitMs: 1000, waitMaxMs: 900_000 };
const NOW = 1_790_000_000_000;

function fail(throttle: Throttle, remote: string, user: string, times: number, now = NOW): void {
  for (let i = 0; i < times; i++) throttle.failed(remote, user, now);
}

test('waits double after the free failures, and pass', () => {
  const throttle = new Throttle(OPTIONS);
  fail(throttle, '192.0.2.1', 'a', 3);
  assert.deepEqual(throttle.check('192.0.2.1', 'a', NOW), { allowed: true, retryAfterMs: 0 });
  for (const wait of [1000, 2000, 4000, 8000]) {
    throttle.failed('192.0.2.1', 'a', NOW);
    assert.deepEqual(throttle.check('192.0.2.1', 'a', NOW), { allowed: false, retryAfterMs: wait });
  }
  assert.equal(throttle.check('192.0.2.1', 'a', NOW + 7999).retryAfterMs, 1);
  assert.equal(throttle.check('192.0.2.1', 'a', NOW + 8000).allowed, true);
});

test('an address waits for guesses at any account, up to its limit', () => {
  const throttle = new Throttle(OPTIONS);
  for (let i = 0; i < 50; i++) throttle.failed('192.0.2.1', `user${i}`, NOW);
  assert.equal(throttle.check('192.0.2.1', 'other', NOW).retryAfterMs, 900_000);
  assert.equal(throttle.check('192.0.2.2', 'other', NOW).allowed, true);
});

test('an account waits for guesses from anywhere, but not for long', () => {
  const throttle = new Throttle(OPTIONS);
  for (let i = 0; i < 50; i++) throttle.failed(`192.0.2.${i}`, 'a', NOW);
  assert.equal(throttle.check('198.51.100.1', 'a', NOW).retryAfterMs, 60_000);
});

test('who logged in from an address before is not held up by others', () => {
  const throttle = new Throttle(OPTIONS);
  throttle.succeeded('192.0.2.1', 'a', NOW);
  for (let i = 0; i < 50; i++) throttle.failed('192.0.2.1', 'b', NOW);
  for (let i = 0; i < 50; i++) throttle.failed('198.51.100.1', 'a', NOW);
  assert.equal(throttle.check('192.0.2.1', 'a', NOW).allowed, true);
  assert.equal(throttle.check('192.0.2.1', 'c', NOW).allowed, false);
  fail(throttle, '192.0.2.1', 'a', 4);
  assert.equal(throttle.check('192.0.2.1', 'a', NOW).allowed, false, 'but for its own failures');
});

test('a success of one account does not clear the address', () => {
  const throttle = new Throttle(OPTIONS);
  fail(throttle, '192.0.2.1', 'victim', 20);
  throttle.succeeded('192.0.2.1', 'mine', NOW);
  assert.equal(throttle.check('192.0.2.1', 'victim', NOW).allowed, false);
});

test('IPv6 addresses of one /64 are one, and IPv4 in IPv6 is IPv4', () => {
  const throttle = new Throttle(OPTIONS);
  fail(throttle, '2001:db8::1', 'a', 5);
  assert.equal(throttle.check('2001:DB8:0:0:1:2:3:4', 'b', NOW).allowed, false);
  assert.equal(throttle.check('2001:db8:0:1::1', 'b', NOW).allowed, true);
  fail(throttle, '::ffff:192.0.2.9', 'c', 5);
  assert.equal(throttle.check('192.0.2.9', 'd', NOW).allowed, false);
});

test('failures are forgotten after an hour, whichever way the clock goes', () => {
  const throttle = new Throttle(OPTIONS);
  fail(throttle, '192.0.2.1', 'a', 20);
  assert.equal(throttle.check('192.0.2.1', 'a', NOW + 3_600_000).allowed, true);
  assert.equal(throttle.check('192.0.2.1', 'a', NOW - 3_600_000).allowed, true);
  assert.ok(throttle.check('192.0.2.1', 'a', NOW - 1000).retryAfterMs <= 900_000);
});

test('remembers no more than it may, the least recently used goes first', () => {
  const throttle = new Throttle({ ...OPTIONS, entriesMax: 10 });
  fail(throttle, '192.0.2.1', 'a', 5);
  for (let i = 0; i < 9; i++) throttle.failed(`198.51.100.${i}`, `x${i}`, NOW);
  assert.equal(throttle.check('192.0.2.1', 'z', NOW).allowed, false, 'was just used');
  for (let i = 10; i < 30; i++) throttle.failed(`198.51.100.${i}`, `x${i}`, NOW);
  assert.equal(throttle.check('192.0.2.1', 'z', NOW).allowed, true);
});
