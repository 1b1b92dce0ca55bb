/** What a server's processes take, from /proc: CPU time and memory of a process and all that it started. Linux only. */

import { readdirSync, readFileSync } from 'node:fs';

const TICK_MS = 10;

function stat(pid: number): { readonly parent: number; readonly ticks: number } | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    // proc(5): ppid is field 4; utime, stime and those of waited-for children are 14 to 17.
    return { parent: Number(fields[1]), ticks: [11, 12, 13, 14].reduce((sum, i) => sum + Number(fields[i]), 0) };
  } catch {
    // It has ended meanwhile.
    return undefined;
  }
}

/** The processes and their descendants. */
function tree(roots: readonly number[]): number[] {
  const parents = new Map<number, number>();
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    const parent = Number.isInteger(pid) ? stat(pid)?.parent : undefined;
    if (parent !== undefined) parents.set(pid, parent);
  }
  const belongs = (pid: number): boolean => {
    for (let at: number | undefined = pid; at !== undefined && at > 1; at = parents.get(at))
      if (roots.includes(at)) return true;
    return false;
  };
  return [...parents.keys()].filter(belongs);
}

export const cpuMs = (roots: readonly number[]): number =>
  tree(roots).reduce((sum, pid) => sum + (stat(pid)?.ticks ?? 0) * TICK_MS, 0);

function kilobytes(file: string, field: string): number {
  try {
    return Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(readFileSync(file, 'latin1'))?.[1] ?? 0);
  } catch {
    // It has ended meanwhile.
    return 0;
  }
}

/** Resident bytes of one process. */
export const residentBytes = (pid: number): number => kilobytes(`/proc/${pid}/status`, 'VmRSS') * 1024;

/** Resident bytes of processes that share pages: each page is counted once, divided among those that share it. */
export const proportionalBytes = (roots: readonly number[]): number =>
  tree(roots).reduce((sum, pid) => sum + kilobytes(`/proc/${pid}/smaps_rollup`, 'Pss') * 1024, 0);
