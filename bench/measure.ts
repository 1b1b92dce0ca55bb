/**
 * What a measurement is: rows of the table with their targets, the systems it is for, and a run that gives a figure for
 * each row. Times are bounded by `Scale`, so that a slow system makes a low figure and not a long run.
 */

import { busyMs } from './machine.ts';
import type { MailmeshOptions } from './mailmesh.ts';
import type { MessageSource } from './messages.ts';
import { cpuMs } from './process-tree.ts';
import type { System } from './system.ts';

export interface Row {
  readonly name: string;
  readonly work: string;
  readonly unit: string;
  readonly target: { readonly atLeast: number } | { readonly atMost: number } | null;
}

/** How much is done. */
export interface Scale {
  /** How long a load goes on. */
  readonly loadMs: number;
  /** The same for short commands. */
  readonly readMs: number;
  readonly mailbox: number;
  readonly bigMailbox: number;
  /** Single messages whose latency is taken. */
  readonly samples: number;
  readonly idleConnections: number;
  readonly accounts: number;
}

export interface Sources {
  readonly small: MessageSource;
  readonly large: MessageSource;
}

export interface Figure {
  readonly value: number;
  /** What stands behind the figure, shown below the table. */
  readonly note?: string;
}
export type Figures = Readonly<Record<string, Figure>>;

export type Peer = 'dovecot' | 'postfixDovecot' | 'postfixDiscard';

export interface Setting {
  readonly scale: Scale;
  readonly sources: Sources;
  /** How to start another server of ours. */
  readonly server: MailmeshOptions;
}

export interface Measurement {
  readonly name: string;
  readonly rows: readonly Row[];
  readonly peers: readonly Peer[];
  run(system: System, setting: Setting): Promise<Figures>;
}

export const perSecond = (count: number, ms: number): number => (count * 1000) / ms;

export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

export interface Timed {
  readonly ms: number;
  /** CPU time of the system meanwhile. */
  readonly cpuMs: number;
  /** Cores that neither the system nor the load generator used, but others did. */
  readonly othersCores: number;
}

export async function timed(system: System, work: () => Promise<void>): Promise<Timed> {
  const cpuBefore = cpuMs(system.roots);
  const ownBefore = process.cpuUsage();
  const busyBefore = busyMs();
  const begun = performance.now();
  await work();
  const ms = performance.now() - begun;
  const busy = busyMs() - busyBefore;
  const own = process.cpuUsage(ownBefore);
  const cpu = cpuMs(system.roots) - cpuBefore;
  return { ms, cpuMs: cpu, othersCores: Math.max(0, busy - cpu - (own.user + own.system) / 1000) / ms };
}

export function cpuNote(run: Timed, count: number, what: string): string {
  const others = run.othersCores < 0.1 ? '' : `, others took ${run.othersCores.toFixed(1)} cores`;
  return `${(run.cpuMs / count).toFixed(2)} ms of CPU a ${what}${others}`;
}

/** Calls until the time is over; resolves with the number of calls. */
export async function repeat(ms: number, work: (call: number) => Promise<void>): Promise<number> {
  const end = performance.now() + ms;
  let calls = 0;
  while (performance.now() < end || calls === 0) await work(calls++);
  return calls;
}
