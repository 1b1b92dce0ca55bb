/** The machine that was measured on, and how much of it others used meanwhile. */

import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, release, totalmem, type } from 'node:os';

const TICK_MS = 10;

export function describeMachine(): string {
  const memory = `${Math.round(totalmem() / 2 ** 30)} GB`;
  const load = loadavg()[0]!.toFixed(1);
  return `${availableParallelism()} cores, ${cpus()[0]?.model ?? 'unknown CPU'}, ${memory}, ${type()} ${release()}, Node ${process.versions.node}; load average ${load} at the start`;
}

/** CPU time that all cores together have spent so far, in milliseconds; 0 where the system does not tell. */
export function busyMs(): number {
  try {
    // proc(5): user, nice, system, idle, iowait, irq, softirq, …
    const [user, nice, system, , , irq, softirq] = readFileSync('/proc/stat', 'latin1')
      .slice(5, 200)
      .trim()
      .split(/\s+/)
      .map(Number);
    return (user! + nice! + system! + irq! + softirq!) * TICK_MS;
  } catch {
    return 0;
  }
}
