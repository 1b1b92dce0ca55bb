/**
 * Jobs whose pointers are lost, looked for as core/mesh/sweep.ts shares that out, while a rack of nodes dies at the same
 * time: how long until every job has been claimed, and how often the database is asked.
 */

import { type SweepShare, sweepShare, sweepSlowdown } from '../../core/mesh/sweep.ts';
import { Calendar } from './calendar.ts';
import { Random } from './random.ts';
import type { SimSettings } from './settings.ts';

export interface SweepResult {
  readonly jobs: number;
  /** Time from the loss until each job was claimed. */
  readonly times: Float64Array;
  /** Claims of the node that made most, over the mean of those that live. */
  readonly balance: number;
  /** Looks a second for one stage, before the loss and after it. */
  readonly looksBefore: number;
  readonly looksAfter: number;
  /** Claims that another node was faster with. */
  readonly collisions: number;
}

/** As in drivers/cluster/queue-claimers.ts and queue-work.ts: between two looks, jobs claimed at once, found by one look. */
const LOOK_MS = 4_000;
const CLAIM = 32;
const FOUND_MAX = 2 * CLAIM + 8;
/** One stage's work on one job. */
const JOB_MS = 2;
/** Looks for one claim. */
const ROUNDS_MAX = 4;
const BUCKETS = 4096;
const STEADY_MS = 120_000;
/** Mail of so long was on its way when the pointers were lost. */
const BACKLOG_SECONDS = 60;

interface Node {
  readonly id: string;
  alive: boolean;
  backlog: boolean;
  /** How often nothing was left in its share. */
  wider: number;
  claimed: number;
}

/** Jobs in the order of their age, of all or of one bucket. */
interface List {
  readonly jobs: Int32Array;
  /** Those before it are claimed. */
  head: number;
}

export class Sweeping {
  readonly #settings: SimSettings;
  readonly #clock = new Calendar();
  readonly #random: Random;
  readonly #nodes: Node[];
  /** Names of the nodes that are known, the oldest view that anybody has. */
  #view: string[];
  #all: List = { jobs: new Int32Array(0), head: 0 };
  #buckets: readonly List[] = [];
  #claimed = new Uint8Array(0);
  #left = 0;
  #looks = 0;
  #collisions = 0;
  readonly #times: number[] = [];
  #lostAt = 0;

  constructor(settings: SimSettings) {
    this.#settings = settings;
    this.#random = new Random(settings.seed + 1);
    this.#nodes = Array.from({ length: settings.nodes }, (_, i) => ({
      ...{ id: `node-${i}`, alive: true, backlog: false, wider: 0, claimed: 0 },
    }));
    this.#view = this.#nodes.map(({ id }) => id);
  }

  run(): SweepResult {
    const { rack, accounts, silenceMs, checkMs } = this.#settings;
    for (const node of this.#nodes) this.#clock.in(this.#random.next() * this.#pauseMs(), () => this.#look(node));
    this.#advance(STEADY_MS);
    const looksBefore = (this.#looks * 1_000) / STEADY_MS;

    this.#lostAt = this.#clock.now;
    this.#looks = 0;
    for (const node of this.#nodes.slice(0, rack)) node.alive = false;
    const jobs = Math.round(((accounts * 100) / 86_400) * BACKLOG_SECONDS);
    this.#fill(jobs);
    this.#clock.in(silenceMs + 1_000 + checkMs, () => {
      this.#view = this.#nodes.filter(({ alive }) => alive).map(({ id }) => id);
    });
    while (this.#left > 0) this.#advance(1_000);
    const living = this.#nodes.filter(({ alive }) => alive);
    return {
      jobs,
      times: Float64Array.from(this.#times),
      balance: (Math.max(...living.map(({ claimed }) => claimed)) * living.length) / jobs,
      looksBefore,
      looksAfter: (this.#looks * 1_000) / (this.#clock.now - this.#lostAt),
      collisions: this.#collisions,
    };
  }

  #advance(ms: number): void {
    this.#clock.run(this.#clock.now + ms, () => Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY);
  }

  #pauseMs(): number {
    return LOOK_MS * sweepSlowdown(this.#view.length);
  }

  #fill(count: number): void {
    const buckets = Array.from({ length: BUCKETS }, (): number[] => []);
    for (let job = 0; job < count; job++) buckets[this.#random.below(BUCKETS)]!.push(job);
    this.#buckets = buckets.map((jobs) => ({ jobs: Int32Array.from(jobs), head: 0 }));
    this.#all = { jobs: Int32Array.from({ length: count }, (_, i) => i), head: 0 };
    this.#claimed = new Uint8Array(count);
    this.#left = count;
  }

  /** One claim: looks as the queue does, and what is found is claimed when the store has come to it. */
  #look(node: Node): void {
    if (!node.alive) return;
    let found: readonly number[] = [];
    let isElsewhere = true;
    for (let round = 0; isElsewhere && round < ROUNDS_MAX; round++) {
      found = this.#find(node.backlog ? sweepShare(node.id, this.#view, node.wider) : { from: 0, to: 1 });
      isElsewhere = this.#looked(node, found.length);
    }
    const { latencyMs, shards, shardOpsPerSecond } = this.#settings.store;
    const wanted = isElsewhere ? [] : found.slice(0, CLAIM);
    // All nodes share the store.
    const busy = this.#left > FOUND_MAX ? this.#view.length : 1;
    const claimMs = latencyMs + (wanted.length * busy * 1_000) / (shards * shardOpsPerSecond);
    this.#clock.in(claimMs, () => {
      if (!node.alive) return;
      const got = wanted.filter((job) => this.#claim(job)).length;
      node.claimed += got;
      this.#collisions += wanted.length - got;
      const hasMore = isElsewhere || found.length > wanted.length;
      this.#clock.in(hasMore ? got * JOB_MS : this.#pauseMs(), () => this.#look(node));
    });
  }

  /** As `looked` of the queue's claimers. */
  #looked(node: Node, found: number): boolean {
    if (node.backlog && found > 0) return false;
    if (node.backlog) node.wider++;
    else if (found < FOUND_MAX) {
      node.wider = 0;
      return false;
    }
    const wasShare = node.backlog;
    const { from, to } = sweepShare(node.id, this.#view, node.wider);
    node.backlog = to - from < 1;
    return wasShare || node.backlog;
  }

  #find({ from, to }: SweepShare): readonly number[] {
    this.#looks++;
    const found: number[] = [];
    // Bucket k is the one that begins at k / BUCKETS.
    const lists =
      to - from === 1 ? [this.#all] : this.#buckets.slice(Math.ceil(from * BUCKETS), Math.ceil(to * BUCKETS));
    for (const list of lists) this.#take(list, found);
    return found;
  }

  #take(list: List, found: number[]): void {
    const { jobs } = list;
    while (list.head < jobs.length && this.#claimed[jobs[list.head]!] === 1) list.head++;
    for (let i = list.head; i < jobs.length && found.length < FOUND_MAX; i++)
      if (this.#claimed[jobs[i]!] === 0) found.push(jobs[i]!);
  }

  /** False where another was faster. */
  #claim(job: number): boolean {
    if (this.#claimed[job] === 1) return false;
    this.#claimed[job] = 1;
    this.#left--;
    this.#times.push(this.#clock.now - this.#lostAt);
    return true;
  }
}
