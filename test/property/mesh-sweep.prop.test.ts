/** Who looks for which overdue jobs, and how often. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { sweepShare, sweepSlowdown } from '../../core/mesh/sweep.ts';

test('the shares of all nodes are everything, once, in whatever order they know each other', () => {
  const nodes = fc.uniqueArray(fc.string(), { minLength: 1, maxLength: 60 });
  fc.assert(
    fc.property(nodes, (ids) => {
      const shares = ids.map((id) => sweepShare(id, ids)).sort((a, b) => a.from - b.from);
      assert.equal(shares[0]!.from, 0);
      assert.equal(shares.at(-1)!.to, 1);
      for (const [i, { from, to }] of shares.entries()) {
        assert.equal(from, shares[i - 1]?.to ?? 0);
        assert.ok(Math.abs(to - from - 1 / ids.length) < 1e-9);
      }
      assert.deepEqual(sweepShare(ids[0]!, ids), sweepShare(ids[0]!, [...ids].reverse()));
    }),
  );
});

test('a share grows over those of neighbours until it is everything, and always holds the smaller one', () => {
  const ids = ['c', 'a', 'e', 'd', 'b'];
  assert.deepEqual(sweepShare('c', ids, 1), { from: 0.4, to: 0.8 });
  assert.deepEqual(sweepShare('e', ids, 1), { from: 0.8, to: 1 });
  assert.deepEqual(sweepShare('e', ids, 2), { from: 0.8, to: 1 });
  for (const id of ids) {
    assert.deepEqual(sweepShare(id, ids, 3), { from: 0, to: 1 });
    for (let wider = 1; wider < 4; wider++) {
      const [small, large] = [sweepShare(id, ids, wider - 1), sweepShare(id, ids, wider)];
      assert.ok(large.from <= small.from && large.to >= small.to);
    }
  }
});

test('a node that nobody knows yet takes from everything', () => {
  assert.deepEqual(sweepShare('new', ['a', 'b']), { from: 0, to: 1 });
  assert.deepEqual(sweepShare('new', []), { from: 0, to: 1 });
});

test('few nodes look at full pace, and no node of many looks more than four times less often', () => {
  assert.deepEqual([0, 1, 3, 4, 8, 32, 1_000].map(sweepSlowdown), [1, 1, 1, 1, 2, 4, 4]);
});
