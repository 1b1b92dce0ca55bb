/**
 * Who waits for which stage's jobs. A claimer that was here a moment ago is handed new jobs in the transaction that made
 * them ready, so a message on its way costs no claims of its own. Handed jobs are leased like claimed ones.
 */

import type { Stage } from './queue-records.ts';
import type { Handed, Waiting } from './queue-worker.ts';

/** Claimers look by themselves every few seconds; one that was not seen for longer is not there any more. */
const SEEN_MS = 8_000;
/** More than a claimer takes at once is left in the table. */
const HANDED_MAX = 16;
/** Jobs that fall due, or whose lease ends, are looked for at least this often, however many are handed over. */
const ASK_MS = 1_000;

interface Claimer {
  leaseMs: number;
  seenAt: number;
  askedAt: number;
  /** The table may hold ready jobs of this stage. */
  more: boolean;
  readonly handed: Handed[];
}

export class Claimers {
  readonly #stages = new Map<string, Claimer>();

  /** For the next transaction: stages to hand jobs to, with the end of their lease. */
  waiting(now: number): Waiting {
    const waiting: Record<string, number> = {};
    for (const [stage, { leaseMs, seenAt, handed }] of this.#stages)
      if (Math.abs(now - seenAt) < SEEN_MS && handed.length < HANDED_MAX) waiting[stage] = now + leaseMs;
    return waiting;
  }

  hand(jobs: readonly Handed[]): void {
    for (const job of jobs) this.#stages.get(job.stage)!.handed.push(job);
  }

  /** A claim was made: the jobs that were handed over for it, oldest first. */
  take(stage: Stage, { max, leaseMs, now }: { max: number; leaseMs: number; now: number }): readonly Handed[] {
    const claimer = this.#stages.get(stage);
    if (claimer === undefined) {
      this.#stages.set(stage, { leaseMs, seenAt: now, askedAt: Number.NEGATIVE_INFINITY, more: true, handed: [] });
      return [];
    }
    claimer.leaseMs = leaseMs;
    claimer.seenAt = now;
    return claimer.handed.splice(0, max);
  }

  /** Whether a claim that was handed jobs must look into the table as well. */
  mustAsk(stage: Stage, now: number): boolean {
    const { more, askedAt } = this.#stages.get(stage)!;
    return more || Math.abs(now - askedAt) >= ASK_MS;
  }

  asked(stage: Stage, now: number): void {
    const claimer = this.#stages.get(stage)!;
    claimer.more = false;
    claimer.askedAt = now;
  }

  mayHaveMore(stage: Stage): void {
    const claimer = this.#stages.get(stage);
    if (claimer !== undefined) claimer.more = true;
  }
}
