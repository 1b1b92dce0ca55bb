/** Goal: a burst of mail holds the stages back, but never for long and never altogether. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Intake, Pace } from '../../mixins/pace.ts';

const START = 1_790_000_000_000;

/** Mail at a rate for a while; calls `each` every 25 ms. */
function stream(intake: Intake, perSecond: number, from: number, ms: number, each: (now: number) => void): void {
  let sent = 0;
  for (let now = from; now < from + ms; now += 25) {
    for (const due = ((now - from) / 1000) * perSecond; sent < due; sent++) intake.accepted(now);
    each(now);
  }
}

test('ordinary mail is not held back', () => {
  const intake = new Intake();
  const pace = new Pace(intake);
  stream(intake, 50, START, 3000, (now) => assert.equal(pace.allowance(now), Number.POSITIVE_INFINITY));
});

test('in a burst a stage goes on slowly, and freely again when it is over', () => {
  const intake = new Intake();
  const pace = new Pace(intake);
  let claimed = 0;
  stream(intake, 800, START, 4000, (now) => {
    const allowed = pace.allowance(now);
    if (now < START + 500) return;
    assert.notEqual(allowed, Number.POSITIVE_INFINITY);
    for (let i = 0; i < allowed; i++) {
      pace.claimed(now, now);
      claimed++;
    }
  });
  assert.ok(claimed > 300 && claimed < 600, `${claimed} jobs in 3.5 s`);
  assert.equal(pace.allowance(START + 5000), Number.POSITIVE_INFINITY);
});

test('mail that has waited for long sets the stage free', () => {
  const intake = new Intake();
  const pace = new Pace(intake);
  stream(intake, 800, START, 1000, () => undefined);
  const now = START + 1000;
  assert.notEqual(pace.allowance(now), Number.POSITIVE_INFINITY);
  pace.claimed(now - 20_000, now);
  assert.equal(pace.allowance(now), Number.POSITIVE_INFINITY);
});

test('a clock that jumps does not block a stage for good', () => {
  const intake = new Intake();
  const pace = new Pace(intake);
  stream(intake, 800, START, 1000, (now) => void pace.allowance(now));
  for (const now of [START - 3_600_000, START + 3_600_000]) assert.equal(pace.allowance(now), Number.POSITIVE_INFINITY);
});
