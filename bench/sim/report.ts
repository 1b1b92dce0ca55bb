/** The simulation's rows as text: one line for each figure that the scenario is about. */

import type { ScenarioRow } from './scenarios.ts';
import type { SweepResult } from './sweeping.ts';

const percent = (share: number): string => `${(share * 100).toFixed(3)} %`;
const count = (value: number): string => Math.round(value).toLocaleString('en');
const LATE_MS = 100;

function percentiles(values: ArrayLike<number>): string {
  const sorted = Float64Array.from(values).sort();
  const at = (share: number): string => {
    const ms = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
    return ms < LATE_MS ? `${ms.toFixed(0)} ms` : `${(ms / 1_000).toFixed(2)} s`;
  };
  return `p50 ${at(0.5)}, p99 ${at(0.99)}, longest ${at(1)}`;
}

export function scenarioLines(row: ScenarioRow): string[] {
  const { writes, traffic, seconds } = row;
  const late = writes.waits.filter((ms) => ms > LATE_MS).length;
  const questions = traffic.asked + traffic.holder + traffic.released;
  const lines = [`${row.name} (${seconds} s)`];
  if (row.expected > 0)
    lines.push(`  movement       ${percent(row.moved)} of the accounts; ideal ${percent(row.expected)}`);
  lines.push(`  balance        accounts max/mean ${row.balance.toFixed(3)}, writes max/mean ${row.load.toFixed(3)}`);
  if (row.recovery.length > 0)
    lines.push(`  time to recover ${percentiles(row.recovery)} (${count(row.recovery.length)} accounts of the lost)`);
  lines.push(
    `  lease traffic  ${count(questions / seconds)}/s, most ${count(traffic.peak)}/s (${count(traffic.asked)} asked, ${count(traffic.refused)} refused, ${count(traffic.released)} given back); ${count(row.leases)} held; longest wait in the store ${traffic.queueMs.toFixed(0)} ms`,
    `  writes         ${count(writes.count / seconds)}/s, ${count(late)} waited over ${LATE_MS} ms (${percentiles(writes.waits)} of those that asked for a lease), ${count(writes.fenced)} fenced, ${count(writes.failed)} failed`,
  );
  return lines;
}

export function sweepLines(result: SweepResult): string[] {
  return [
    `all pointers and a rack are lost: ${count(result.jobs)} jobs of one stage`,
    `  time to recover ${percentiles(result.times)}`,
    `  balance        claims max/mean ${result.balance.toFixed(2)}; ${count(result.collisions)} claims came too late`,
    `  looks          ${count(result.looksBefore)}/s before, ${count(result.looksAfter)}/s until all were claimed`,
  ];
}
