/** Who sweeps which custody records: every bucket has one sweeper and, where there are two nodes, one stand-in. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { queueId } from '../../core/mail/ids.ts';
import { SWEEP, sweepBucket, sweepPlan, sweepWaitMs } from '../../core/mesh/sweep.ts';

const nodesOf = (count: number) => Array.from({ length: count }, (_, i) => ({ id: `node-${i}` }));

test('the ranges are all buckets, each with one sweeper and a stand-in that is another node', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.string(), { minLength: 1, maxLength: 90 }), (ids) => {
      const plan = sweepPlan(ids.map((id) => ({ id })));
      assert.equal(plan[0]!.from, 0);
      assert.equal(plan.at(-1)!.to, 256);
      assert.equal(new Set(plan.map(({ lock }) => lock)).size, plan.length);
      for (const [i, { from, to, sweeper, standIn }] of plan.entries()) {
        assert.ok(to > from);
        assert.equal(from, plan[i - 1]?.to ?? 0);
        assert.ok(ids.includes(sweeper));
        assert.equal(standIn === undefined, ids.length === 1);
        assert.ok(standIn === undefined || (ids.includes(standIn) && standIn !== sweeper));
      }
    }),
  );
  assert.deepEqual(sweepPlan([]), []);
});

test('all nodes make the same plan, in whatever order they know each other', () => {
  const nodes = nodesOf(9);
  assert.deepEqual(sweepPlan(nodes), sweepPlan([...nodes].reverse()));
});

test('one node has four locks to renew, a thousand nodes 256 between them', () => {
  assert.deepEqual(
    sweepPlan(nodesOf(1)).map(({ lock, from, to }) => [lock, from, to]),
    [0, 64, 128, 192].map((from) => [`sweep/${from}-${from + 63}`, from, from + 64]),
  );
  assert.equal(sweepPlan(nodesOf(16)).length, 64);
  assert.equal(sweepPlan(nodesOf(1_000)).length, 256);
});

test('when a node is gone, its ranges go to their stand-ins and no others change while their number stays', () => {
  const before = sweepPlan(nodesOf(7));
  const after = sweepPlan(nodesOf(7).slice(1));
  assert.equal(before.length, after.length);
  for (const [i, { sweeper, standIn }] of before.entries())
    assert.equal(after[i]!.sweeper, sweeper === 'node-0' ? standIn : sweeper);
});

test('queue ids of one millisecond spread over all buckets', () => {
  const counts = new Array<number>(256).fill(0);
  for (let i = 0; i < 25_600; i++) {
    const id = queueId(
      1_700_000_000_000,
      Uint8Array.from({ length: 7 }, (_, k) => (i >> (k * 5)) & 31),
    );
    counts[sweepBucket(id)]!++;
  }
  const chi = counts.reduce((sum, n) => sum + (n - 100) ** 2 / 100, 0);
  assert.ok(chi < 256 + 5 * Math.sqrt(512), `chi² ${chi}`);
});

test('a full batch is followed at once, an empty one after a round', () => {
  assert.equal(sweepWaitMs(100, 100, 0.5), 0);
  assert.ok(Math.abs(sweepWaitMs(3, 100, 0.5) - SWEEP.everyMs) < 1e-6);
  assert.ok(sweepWaitMs(0, 100, 0.999) < SWEEP.lockMs, 'a sweeper that lives comes before its lock has run out');
});
