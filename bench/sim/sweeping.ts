/**
 * Sweepers of overdue custody records as core/mesh/sweep.ts shares them out, while the streams lose everything and a rack
 * of nodes dies at the same time: how long until every record has been enqueued again, and what the locks cost.
 */

import { queueId } from '../../core/mail/ids.ts';
import { SWEEP, type SweepRange, sweepBucket, sweepPlan, sweepWaitMs } from '../../core/mesh/sweep.ts';
import { Calendar } from './calendar.ts';
import { Random } from './random.ts';
import type { SimSettings } from './settings.ts';

export interface SweepResult {
  readonly ranges: number;
  readonly records: number;
  /** Ranges of the node that has most, over the mean of those that have any. */
  readonly sweepers: number;
  /** Time from the loss until each record was enqueued again, ascending. */
  readonly times: Float64Array;
  /** Lock questions a second, before and after the loss. */
  readonly locksBefore: number;
  readonly locksAfter: number;
}

/** Records a sweeper takes at a time. */
const BATCH = 100;
const STEADY_MS = 60_000;
/** Mail of so long was on its way when the streams were lost. */
const BACKLOG_SECONDS = 60;
const BUCKETS = 256;

interface Lock {
  owner: string;
  ends: number;
}

export class Sweeping {
  readonly #settings: SimSettings;
  readonly #clock = new Calendar();
  readonly #random: Random;
  readonly #locks = new Map<string, Lock>();
  readonly #overdue = new Uint32Array(BUCKETS);
  readonly #dead = new Set<string>();
  #questions = 0;
  #lostAt = 0;
  #done = 0;
  #times = new Float64Array(0);

  constructor(settings: SimSettings) {
    this.#settings = settings;
    this.#random = new Random(settings.seed + 1);
  }

  run(): SweepResult {
    const { nodes, rack, accounts, silenceMs, checkMs } = this.#settings;
    const all = Array.from({ length: nodes }, (_, i) => ({ id: `node-${i}` }));
    const plan = sweepPlan(all);
    this.#follow(plan, () => true);
    this.#advance(STEADY_MS);
    const locksBefore = this.#questions / (STEADY_MS / 1_000);

    // The nodes with most ranges: the worst rack to lose.
    const load = new Map<string, number>();
    for (const { sweeper } of plan) load.set(sweeper, (load.get(sweeper) ?? 0) + 1);
    const busiest = [...load].sort((a, b) => b[1] - a[1]);
    for (const [id] of busiest.slice(0, rack)) this.#dead.add(id);
    this.#lose(Math.round(((accounts * 100) / 86_400) * BACKLOG_SECONDS));
    this.#clock.in(silenceMs + 1_000 + checkMs, () => {
      const after = sweepPlan(all.filter(({ id }) => !this.#dead.has(id)));
      const known = new Set(plan.map(({ lock, sweeper, standIn }) => `${lock} ${sweeper} ${standIn}`));
      this.#follow(after, ({ lock, sweeper, standIn }) => !known.has(`${lock} ${sweeper} ${standIn}`));
    });
    this.#questions = 0;
    while (this.#done < this.#times.length) this.#advance(1_000);
    const locksAfter = (this.#questions * 1_000) / (this.#clock.now - this.#lostAt);
    return {
      ranges: plan.length,
      records: this.#times.length,
      sweepers: (busiest[0]![1] * load.size) / plan.length,
      times: this.#times,
      locksBefore,
      locksAfter,
    };
  }

  #advance(ms: number): void {
    this.#clock.run(this.#clock.now + ms, () => Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY);
  }

  /** Everything that was on its way is overdue now. */
  #lose(records: number): void {
    const random = new Uint8Array(7);
    for (let i = 0; i < records; i++) {
      for (let k = 0; k < random.length; k++) random[k] = this.#random.bits() & 0xff;
      this.#overdue[sweepBucket(queueId(this.#clock.now, random))]!++;
    }
    this.#lostAt = this.#clock.now;
    this.#times = new Float64Array(records);
  }

  /** Sweepers and stand-ins of the ranges begin their rounds, each at a moment of its own. */
  #follow(plan: readonly SweepRange[], isNew: (range: SweepRange) => boolean): void {
    for (const range of plan.filter(isNew))
      for (const node of [range.sweeper, range.standIn])
        if (node !== undefined) this.#clock.in(this.#random.next() * SWEEP.everyMs, () => this.#round(node, range));
  }

  #round(node: string, range: SweepRange): void {
    if (this.#dead.has(node)) return;
    const again = (found: number): void =>
      this.#clock.in(sweepWaitMs(found, BATCH, this.#random.next()), () => this.#round(node, range));
    if (!this.#take(range.lock, node)) {
      again(0);
      return;
    }
    const found = this.#find(range);
    this.#clock.in(this.#batchMs(found), () => {
      if (this.#dead.has(node)) return;
      this.#enqueue(range, found);
      if (node !== range.sweeper) this.#locks.delete(range.lock);
      again(found);
    });
  }

  #take(name: string, owner: string): boolean {
    this.#questions++;
    const { now } = this.#clock;
    const lock = this.#locks.get(name);
    if (lock !== undefined && lock.owner !== owner && lock.ends > now) return false;
    this.#locks.set(name, { owner, ends: now + SWEEP.lockMs });
    return true;
  }

  #find({ from, to }: SweepRange): number {
    let sum = 0;
    for (let bucket = from; bucket < to; bucket++) sum += this.#overdue[bucket]!;
    return Math.min(BATCH, sum);
  }

  /** All sweepers share what the store can do: one write for each record. */
  #batchMs(found: number): number {
    const { store } = this.#settings;
    const alone = found / store.shardOpsPerSecond;
    const shared = (found * BUCKETS) / (store.shards * store.shardOpsPerSecond);
    return Math.max(alone, shared) * 1_000 + 2 * store.latencyMs;
  }

  #enqueue({ from, to }: SweepRange, found: number): void {
    let left = found;
    for (let bucket = from; bucket < to && left > 0; bucket++) {
      const some = Math.min(left, this.#overdue[bucket]!);
      this.#overdue[bucket]! -= some;
      left -= some;
    }
    // Two that swept the same range at a time found the same records.
    for (let i = left; i < found; i++) this.#times[this.#done++] = this.#clock.now - this.#lostAt;
  }
}
