/** Goal: the table of stages is complete and in order, and the skeleton that newcomers copy is a stage that works. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { backoffMs } from '../../core/delivery/retry.ts';
import { makeSkeletonStage } from '../../core/filter/skeleton.ts';
import type { StageContext } from '../../core/filter/stage.ts';
import { checkStageTable, deliveryPlan, STAGE_TABLE } from '../../core/filter/stages.ts';

test('every stage has a row and needs only stages above it', () => {
  checkStageTable();
  assert.throws(() => checkStageTable([...STAGE_TABLE].reverse()), RangeError);
  assert.throws(() => checkStageTable(STAGE_TABLE.slice(1)), RangeError);
});

test('the plan of a message names each stage once', () => {
  const stages = deliveryPlan().map(({ stage }) => stage);
  assert.deepEqual(stages, [...new Set(stages)]);
  assert.equal(stages.at(-1), 'delivery');
});

test('pauses double with jitter and stay within their bounds', () => {
  for (let attempt = 1; attempt < 60; attempt++) {
    const full = Math.min(60_000, 500 * 2 ** (attempt - 1));
    for (const random of [0, 0.5, 0.999]) {
      const pause = backoffMs(attempt, 500, 60_000, random);
      assert.ok(pause >= full / 2 && pause <= full, `attempt ${attempt}: ${pause}`);
    }
  }
});

test('the skeleton stage answers about a message', async () => {
  const bytes = Buffer.from('Subject: x\r\n\r\nhello');
  const context = {
    job: { message: { blob: 'b', size: bytes.length } },
    blobs: { read: async (_: string, start: number, end: number) => bytes.subarray(start, end) },
  } as unknown as StageContext;
  const verdict = await makeSkeletonStage()(context);
  assert.equal(verdict.result, 'seen');
  assert.match(verdict.reasons[0]!, /19 bytes/);
});
