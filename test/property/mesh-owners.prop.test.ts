/** Routing of accounts to nodes: agreement, balance, and how much moves when nodes come and go. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { NOBODY, OwnerCache, OwnerTable } from '../../core/mesh/owner-table.ts';
import { hashHigh, hashLow, type MeshNode, ownerOf, ranking } from '../../core/mesh/rendezvous.ts';

const ACCOUNTS = 20_000;
const accounts = Array.from({ length: ACCOUNTS }, (_, i) => `user${i}`);
const nodesOf = (count: number): MeshNode[] => Array.from({ length: count }, (_, i) => ({ id: `node-${i}` }));

const name = fc.string({ minLength: 1, maxLength: 20 });
const nodes = fc.uniqueArray(fc.record({ id: name, weight: fc.constantFrom(1, 1, 1, 0.5, 2, 7) }), {
  selector: ({ id }) => id,
  minLength: 1,
  maxLength: 12,
});

function tableOf(some: readonly MeshNode[]): OwnerTable {
  const table = new OwnerTable(ACCOUNTS);
  for (const node of some) table.join(node);
  for (const [slot, account] of accounts.entries()) table.put(slot, hashLow(account), hashHigh(account));
  return table;
}

function counts(table: OwnerTable): Map<string, number> {
  const result = new Map<string, number>();
  for (let slot = 0; slot < ACCOUNTS; slot++) {
    const id = table.idOf(table.owner(slot))!;
    result.set(id, (result.get(id) ?? 0) + 1);
  }
  return result;
}

test('two nodes that know the same nodes agree, in whatever order they know them', () => {
  fc.assert(
    fc.property(name, nodes, fc.integer(), (account, some, turn) => {
      const other = some.map((node, i) => ({ node, key: Math.imul(i + 1, turn) })).sort((a, b) => a.key - b.key);
      assert.deepEqual(
        ranking(account, some),
        ranking(
          account,
          other.map(({ node }) => node),
        ),
      );
    }),
  );
});

test('when a node is gone, the next in the ranking owns its accounts and no other account moves', () => {
  fc.assert(
    fc.property(name, nodes, fc.nat(), (account, some, which) => {
      const order = ranking(account, some);
      const gone = some[which % some.length]!.id;
      const left = ranking(
        account,
        some.filter(({ id }) => id !== gone),
      );
      assert.deepEqual(
        left,
        order.filter((id) => id !== gone),
      );
    }),
  );
});

test('a cache that saw nodes come and go says what ownerOf says', () => {
  const asked = fc.array(name, { minLength: 1, maxLength: 30 });
  fc.assert(
    fc.property(fc.array(fc.tuple(nodes, asked), { minLength: 1, maxLength: 6 }), (steps) => {
      const cache = new OwnerCache(16);
      for (const [some, names] of steps) {
        cache.update(some);
        assert.deepEqual(new Set(cache.nodes), new Set(some.map(({ id }) => id)));
        for (const account of names) assert.equal(cache.ownerOf(account), ownerOf(account, some), account);
      }
      cache.update([]);
      assert.equal(cache.ownerOf('a'), undefined);
    }),
  );
});

for (const count of [1, 2, 3, 10, 30, 100]) {
  test(`a node that joins ${count} takes at most 1/N + 2 % of the accounts, all for itself`, () => {
    const table = tableOf(nodesOf(count));
    let taken = 0;
    const joined = table.join({ id: 'late' }, (_slot, from, to) => {
      assert.notEqual(from, to);
      assert.equal(to, joinedNumber());
      taken++;
    });
    function joinedNumber(): number {
      return table.numberOf('late')!;
    }
    assert.equal(joined, joinedNumber());
    assert.ok(taken / ACCOUNTS <= 1 / (count + 1) + 0.02, `${taken} of ${ACCOUNTS}`);
    assert.ok(taken / ACCOUNTS >= 1 / (count + 1) - 0.02, `${taken} of ${ACCOUNTS}`);
  });

  test(`a node that leaves ${count + 1} gives its accounts to all others`, () => {
    const table = tableOf(nodesOf(count + 1));
    const had = counts(table).get('node-0')!;
    const to = new Map<number, number>();
    let moved = 0;
    table.leave('node-0', (_slot, _from, now) => {
      moved++;
      to.set(now, (to.get(now) ?? 0) + 1);
    });
    assert.equal(moved, had);
    // With few accounts for many nodes, chance leaves some without any.
    assert.ok(to.size >= (count <= 30 ? count : 0.7 * count), `${to.size}`);
    assert.ok(Math.max(...to.values()) < (3 * had) / count + 10, 'no node takes far more than its part');
  });
}

test('accounts are spread evenly, also when names differ by a digit', () => {
  for (const count of [2, 5, 20, 50]) {
    const spread = counts(tableOf(nodesOf(count)));
    assert.equal(spread.size, count);
    // Chi-squared of as many cells: its mean is count - 1 and its deviation √(2·count); five of them never happen.
    const mean = ACCOUNTS / count;
    const chi = [...spread.values()].reduce((sum, n) => sum + (n - mean) ** 2 / mean, 0);
    assert.ok(chi < count + 5 * Math.sqrt(2 * count), `${count} nodes: chi² ${chi}`);
  }
});

test('which node owns an account says nothing about who would own it next', () => {
  const some = nodesOf(8);
  const pairs = new Map<string, number>();
  for (const account of accounts) {
    const [first, second] = ranking(account, some);
    pairs.set(`${first} ${second}`, (pairs.get(`${first} ${second}`) ?? 0) + 1);
  }
  const mean = ACCOUNTS / 56;
  assert.equal(pairs.size, 56);
  const chi = [...pairs.values()].reduce((sum, n) => sum + (n - mean) ** 2 / mean, 0);
  assert.ok(chi < 56 + 5 * Math.sqrt(112), `chi² ${chi}`);
});

test('a node of weight 3 owns three times as many accounts as one of weight 1', () => {
  const spread = counts(tableOf([{ id: 'a', weight: 3 }, { id: 'b' }, { id: 'c' }, { id: 'd', weight: 0.5 }]));
  const share = (id: string): number => spread.get(id)! / ACCOUNTS;
  assert.ok(Math.abs(share('a') - 3 / 5.5) < 0.015, `${share('a')}`);
  assert.ok(Math.abs(share('b') - 1 / 5.5) < 0.015, `${share('b')}`);
  assert.ok(Math.abs(share('d') - 0.5 / 5.5) < 0.015, `${share('d')}`);
});

test('a weight that rises takes accounts and gives none away', () => {
  const table = tableOf(nodesOf(5));
  const before = accounts.map((_, slot) => table.idOf(table.owner(slot)));
  table.join({ id: 'node-2', weight: 2 });
  accounts.forEach((account, slot) => {
    const now = table.idOf(table.owner(slot));
    if (now !== before[slot]) assert.equal(now, 'node-2', account);
  });
});

test('without a node nobody owns anything', () => {
  const table = new OwnerTable(4);
  table.put(0, 1, 2);
  assert.equal(table.owner(0), NOBODY);
  table.join({ id: 'a' });
  assert.equal(table.idOf(table.owner(0)), 'a');
  table.leave('a');
  table.leave('b');
  assert.equal(table.owner(0), NOBODY);
  assert.equal(ownerOf('x', []), undefined);
});

test('known owners stay known: nodes of two versions of the program must agree', () => {
  const some = nodesOf(7);
  assert.deepEqual(
    ['0123456789abcdef', 'zzzzzzzzzzzzzzzz', '', 'user1', 'user2', 'ä€😀'].map((account) => ownerOf(account, some)),
    ['node-5', 'node-6', 'node-0', 'node-5', 'node-0', 'node-1'],
  );
});
