/** The simulation: the same seed gives the same figures, and a small mesh shows what the large one is to keep. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Calendar } from '../../bench/sim/calendar.ts';
import { scenarioLines, sweepLines } from '../../bench/sim/report.ts';
import { type ScenarioRow, Scenarios } from '../../bench/sim/scenarios.ts';
import { simSettings } from '../../bench/sim/settings.ts';
import { Sweeping } from '../../bench/sim/sweeping.ts';

const settings = (seed: number) => simSettings({ nodes: 50, accounts: 50_000, seed });
const rowsOf = (seed: number): ScenarioRow[] => [...new Scenarios(settings(seed)).rows()];
const textOf = (rows: readonly ScenarioRow[]): string => rows.flatMap(scenarioLines).join('\n');

const rows = rowsOf(7);

test('a seed reproduces every figure, another seed gives others', () => {
  assert.equal(textOf(rowsOf(7)), textOf(rows));
  assert.notEqual(textOf(rowsOf(8)), textOf(rows));
  const sweep = (seed: number): string => sweepLines(new Sweeping(settings(seed)).run()).join('\n');
  assert.equal(sweep(7), sweep(7));
});

test('accounts move as far as the change calls for, and are spread evenly after it', () => {
  for (const { name, moved, expected, balance } of rows) {
    assert.ok(Math.abs(moved - expected) <= 0.02, `${name}: ${moved} moved of ${expected}`);
    assert.ok(balance < 1.15, `${name}: ${balance}`);
  }
});

test('no write fails or is fenced, whatever happens to the nodes', () => {
  for (const { name, writes } of rows) assert.deepEqual([writes.failed, writes.fenced], [0, 0], name);
});

test('accounts of lost nodes are written again within 10 s', () => {
  const lost = rows.filter(({ recovery }) => recovery.length > 0);
  assert.equal(lost.length, 2);
  for (const { name, recovery } of lost) assert.ok(Math.max(...recovery) < 10_000, `${name}: ${Math.max(...recovery)}`);
});

test('nodes that join or drain delay no write by more than a second', () => {
  for (const name of ['one node joins', 'it drains and stops', 'all of them come back']) {
    const row = rows.find((one) => one.name === name)!;
    assert.ok(Math.max(...row.writes.waits) < 1_000, `${name}: ${Math.max(...row.writes.waits)}`);
    assert.ok(row.traffic.released > 0, 'leases are handed over');
  }
});

test('every job whose pointer is lost is found, soon and once, also when a rack is gone', () => {
  const { jobs, times, collisions, balance } = new Sweeping(settings(7)).run();
  assert.equal(times.length, jobs);
  assert.ok(jobs > 3_000);
  assert.ok(Math.max(...times) < 30_000, `${Math.max(...times)}`);
  assert.ok(collisions < jobs / 4, `${collisions}`);
  assert.ok(balance < 5, `${balance}`);
});

test('the calendar keeps the order of times, and of what happens at the same time', () => {
  const calendar = new Calendar();
  const seen: string[] = [];
  for (const [time, name] of [
    [5, 'c'],
    [1, 'a'],
    [5, 'd'],
    [3, 'b'],
  ] as const)
    calendar.at(time, () => seen.push(`${name}${calendar.now}`));
  calendar.at(1, () => calendar.in(1, () => seen.push('later')));
  let arrivals = 0;
  calendar.run(10, () => (++arrivals < 3 ? calendar.now + 1 : Number.POSITIVE_INFINITY), 4);
  assert.deepEqual(seen, ['a1', 'later', 'b3', 'c5', 'd5']);
  assert.equal(arrivals, 3);
  assert.equal(calendar.now, 10);
});
