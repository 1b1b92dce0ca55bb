/**
 * The durable queue and custody record on this machine: one SQLite file with one writing thread. Acceptance is synced
 * before it resolves, the stages' progress survives the process. Messages at work are remembered here, so that a claim
 * costs no reading: every change goes through this object, because one process owns the folder.
 */

import path from 'node:path';
import type { AcceptedMessage, RefusedMessage } from '../../core/mail/accepted.ts';
import { asMailError, Fault } from '../../core/mail/errors.ts';
import type { BlobRef, QueueId } from '../../core/mail/ids.ts';
import type { Damage } from '../../core/ports/blob-store.ts';
import type { Delivery, Job, MessageRecord, PlannedJob, Queue, QueueDepth } from '../../core/ports/queue.ts';
import { placesOf } from '../queue-plan.ts';
import { makeFolder } from './blob-io.ts';
import { adoptArgs } from './queue-adopt.ts';
import { Claimers } from './queue-claimers.ts';
import { blobsNamed, type Holding, messageIdHash, QueueRecords, type Stage } from './queue-records.ts';
import { BLOCKED, DEAD, JOB_STATES, messageOf, PLACES, type StoredPlan } from './queue-schema.ts';
import type { AcceptArgs, Accepted, ClaimArgs, Claimed, FailArgs, SettleArgs, Settled } from './queue-worker.ts';
import { snapshotDatabase } from './sqlite-snapshot.ts';
import { SqliteWriter } from './sqlite-writer.ts';

type Claim = Pick<Job, 'queueId' | 'stage' | 'token'>;
type Verdict = Parameters<Queue['settle']>[1];

const REMEMBERED_MAX = 2_000;
/** A job is given out with at least this share of its lease. */
const LEASE_SHARE_MIN = 0.8;
const ERROR_CHARACTERS_MAX = 2_000;
const FORGET_AT_ONCE = 200;
const SHOWN_AT_ONCE = 20;
export class EmbeddedQueue implements Queue {
  readonly #file: string;
  readonly #now: () => number;
  readonly #writer: SqliteWriter;
  #records!: QueueRecords;
  readonly #holdings = new Map<number, Holding>();
  readonly #claimers = new Claimers();
  readonly #listeners = new Set<(stage: Stage) => void>();

  constructor(options: { folder: string; now: () => number }) {
    this.#file = path.join(options.folder, 'queue.db');
    this.#now = options.now;
    this.#writer = new SqliteWriter(this.#file, new URL('./queue-worker.ts', import.meta.url));
  }

  async open(): Promise<void> {
    await makeFolder(path.dirname(this.#file));
    await this.#writer.open();
    this.#records = new QueueRecords(this.#writer.reader);
  }

  async close(): Promise<void> {
    await this.#writer.close();
    this.#holdings.clear();
  }

  async accept(message: AcceptedMessage, plan: readonly PlannedJob[]): Promise<void> {
    const places = storedPlan(plan);
    const accepted = JSON.stringify(message);
    const args: AcceptArgs = {
      id: message.queueId,
      at: message.acceptedAt,
      mid: messageIdHash(message.messageId),
      blob: Uint8Array.fromHex(message.blob),
      accepted,
      plan: JSON.stringify(places),
      jobs: places.map(([stage, needs]) => [stage, needs.reduce((mask, need) => mask + 2 ** need, 0)]),
      waiting: this.#claimers.waiting(this.#now()),
    };
    const done = await this.#writer.call<Accepted | null>('accept', args, 'durable');
    if (done === null) return;
    // A copy of its own, exactly as it would be read from the disk.
    // In a backlog the older ones are worked on first: they keep their places.
    if (plan.length > 0 && this.#holdings.size < REMEMBERED_MAX)
      this.#holdings.set(done.n, {
        message: JSON.parse(accepted) as AcceptedMessage,
        plan: places,
        verdicts: {},
        deliveries: [],
      });
    this.#ready(done);
  }

  async refuse(message: RefusedMessage): Promise<void> {
    const { queueId: id, refusedAt: at, messageId } = message;
    const record = JSON.stringify(message);
    await this.#writer.call('refuse', { id, at, mid: messageIdHash(messageId), record }, 'volatile');
  }

  async claim(stage: Stage, options: { max: number; leaseMs: number; now: number }): Promise<Job[]> {
    const { max, leaseMs, now } = options;
    const claimed: Job[] = [];
    for (const { key, token, attempts, until } of this.#claimers.take(stage, options)) {
      // What was handed over long ago, while nobody claimed, has little of its lease left.
      const isFresh = until >= now + leaseMs * LEASE_SHARE_MIN;
      const held = { key, stage, token, until: now + leaseMs };
      if (isFresh || (await this.#writer.call<boolean>('extend', held, 'volatile')))
        await this.#give(claimed, stage, key, token, attempts);
    }
    const more = max - claimed.length;
    if (more === 0 || (claimed.length > 0 && !this.#claimers.mustAsk(stage, now))) return claimed;
    const args: ClaimArgs = { stage, max: more, until: now + leaseMs, now };
    this.#claimers.asked(stage, now);
    const { token, jobs } = await this.#writer.call<Claimed>('claim', args, 'volatile');
    if (jobs.length === more) this.#claimers.mayHaveMore(stage);
    for (const { key, attempts } of jobs) await this.#give(claimed, stage, key, token, attempts);
    return claimed;
  }

  async #give(claimed: Job[], stage: Stage, key: number, token: number, attempts: number): Promise<void> {
    try {
      const { message, verdicts, deliveries } = this.#holding(key);
      const { queueId } = message;
      const proof = `${key.toString(36)}.${token.toString(36)}`;
      claimed.push({ queueId, stage, token: proof, attempt: attempts, message, verdicts, deliveries });
    } catch (error) {
      // One unreadable record must not stop the stage: it goes to the dead letters, where it can be seen.
      const text = `the record is unreadable: ${asMailError(error).message}`;
      const args: FailArgs = { key, stage, token, error: text, retryAt: null, deliveries: null };
      await this.#writer.call('fail', args, 'volatile');
    }
  }

  async extend(job: Claim, leaseUntil: number): Promise<boolean> {
    const proof = this.#proof(job);
    if (proof === undefined) return false;
    return this.#writer.call<boolean>('extend', { ...proof, until: leaseUntil }, 'volatile');
  }

  async settle(job: Claim, verdict: Verdict, deliveries: readonly Delivery[] = []): Promise<boolean> {
    const proof = this.#proof(job);
    if (proof === undefined) return false;
    const json = JSON.stringify(verdict);
    const args: SettleArgs = {
      ...proof,
      verdict: json,
      deliveries: deliveries.length === 0 ? null : JSON.stringify(deliveries),
      parts: blobsNamed(json),
      at: this.#now(),
      waiting: this.#claimers.waiting(this.#now()),
    };
    const settled = await this.#writer.call<Settled | null>('settle', args, 'volatile');
    if (settled === null) return false;
    const n = messageOf(proof.key);
    const holding = this.#holdings.get(n);
    if (settled.finished) this.#holdings.delete(n);
    else if (holding !== undefined) {
      holding.verdicts = { ...holding.verdicts, [job.stage]: JSON.parse(json) as Verdict };
      this.#addDeliveries(holding, args.deliveries);
    }
    this.#ready(settled);
    return true;
  }

  async fail(
    job: Claim,
    error: string,
    retryAt: number | null,
    deliveries: readonly Delivery[] = [],
  ): Promise<boolean> {
    const proof = this.#proof(job);
    if (proof === undefined) return false;
    const made = deliveries.length === 0 ? null : JSON.stringify(deliveries);
    const args: FailArgs = { ...proof, error: error.slice(0, ERROR_CHARACTERS_MAX), retryAt, deliveries: made };
    if (!(await this.#writer.call<boolean>('fail', args, 'volatile'))) return false;
    const holding = this.#holdings.get(messageOf(proof.key));
    if (holding !== undefined) this.#addDeliveries(holding, made);
    return true;
  }

  onReady(listener: (stage: Stage) => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  async nextDue(stage: Stage): Promise<number | null> {
    return this.#records.nextDue(stage);
  }

  async list(options: Parameters<Queue['list']>[0]): Promise<readonly MessageRecord[]> {
    return this.#show(this.#records.listed(options));
  }

  async show(id: QueueId): Promise<MessageRecord | undefined> {
    return this.#records.show(id);
  }

  async findByMessageId(messageId: string): Promise<readonly MessageRecord[]> {
    const records = await this.#show(this.#records.found(messageId));
    return records.filter(
      ({ accepted, refused }) => accepted?.messageId === messageId || refused?.messageId === messageId,
    );
  }

  /** Reading long listings makes room for others between records. */
  async #show(ids: readonly QueueId[]): Promise<MessageRecord[]> {
    const records: MessageRecord[] = [];
    for (const [i, id] of ids.entries()) {
      if (i % SHOWN_AT_ONCE === SHOWN_AT_ONCE - 1) await new Promise((resolve) => setImmediate(resolve));
      const record = this.#records.show(id);
      if (record !== undefined) records.push(record);
    }
    return records;
  }

  async retry(id: QueueId, stage?: Stage): Promise<number> {
    const stages = await this.#writer.call<string[]>('retry', { id, stage: stage ?? null }, 'durable');
    for (const one of stages) this.#tell(one as Stage);
    return stages.length;
  }

  async drop(id: QueueId, why: string): Promise<boolean> {
    const args = { id, why: `dropped: ${why}`.slice(0, ERROR_CHARACTERS_MAX), at: this.#now() };
    const n = await this.#writer.call<number | null>('drop', args, 'durable');
    if (n !== null) this.#holdings.delete(n);
    return n !== null;
  }

  async depth(now: number): Promise<readonly QueueDepth[]> {
    const rows = await this.#writer.call<{ stage: string; state: number; count: number; at: number }[]>(
      'depth',
      null,
      'scan',
    );
    const depths = new Map<string, { -readonly [K in keyof QueueDepth]: QueueDepth[K] }>();
    for (const { stage, state, count, at } of rows) {
      let depth = depths.get(stage);
      if (depth === undefined) {
        depth = { stage: stage as Stage, blocked: 0, ready: 0, running: 0, waiting: 0, dead: 0, oldestMs: 0 };
        depths.set(stage, depth);
      }
      depth[JOB_STATES[state]!] = count;
      if (state !== BLOCKED && state !== DEAD) depth.oldestMs = Math.max(depth.oldestMs, now - at);
    }
    return [...depths.values()];
  }

  async liveBlobs(refs: readonly BlobRef[]): Promise<ReadonlySet<BlobRef>> {
    return this.#records.liveBlobs(refs);
  }

  async forget(olderThan: number, limit: number): Promise<number> {
    let forgotten = 0;
    while (forgotten < limit) {
      const most = Math.min(FORGET_AT_ONCE, limit - forgotten);
      const some = await this.#writer.call<number>('forget', { olderThan, limit: most }, 'volatile');
      forgotten += some;
      if (some < most) break;
    }
    return forgotten;
  }

  async adopt(record: MessageRecord): Promise<boolean> {
    const { accepted, refused, queueId } = record;
    if (accepted === null) {
      if (refused === null || this.#records.show(queueId) !== undefined) return false;
      await this.refuse(refused);
      return true;
    }
    const ready = await this.#writer.call<string[] | null>('adopt', adoptArgs({ ...record, accepted }), 'durable');
    if (ready === null) return false;
    if (refused !== null) await this.refuse(refused);
    for (const stage of ready) this.#tell(stage as Stage);
    return true;
  }

  async verify(repair: boolean): Promise<readonly Damage[]> {
    const broken = await this.#writer.integrity();
    if (broken.length > 0) return broken;
    if (repair) this.#holdings.clear();
    return this.#writer.call<Damage[]>('verify', { repair, now: this.#now() }, repair ? 'durable' : 'scan');
  }

  async backup(destination: string): Promise<void> {
    await makeFolder(destination);
    await snapshotDatabase(this.#file, path.join(destination, path.basename(this.#file)));
  }

  #ready({ ready, handed }: Pick<Accepted, 'ready' | 'handed'>): void {
    this.#claimers.hand(handed);
    for (const { stage } of handed) this.#hint(stage as Stage);
    for (const stage of ready) this.#tell(stage as Stage);
  }

  #tell(stage: Stage): void {
    this.#claimers.mayHaveMore(stage);
    this.#hint(stage);
  }

  /** From a transaction that stands: what a listener does with it must not fail the call that caused it. */
  #hint(stage: Stage): void {
    for (const listener of this.#listeners) queueMicrotask(() => listener(stage));
  }

  #remember(n: number, holding: Holding): void {
    this.#holdings.set(n, holding);
    if (this.#holdings.size > REMEMBERED_MAX) this.#holdings.delete(this.#holdings.keys().next().value!);
  }

  #holding(key: number): Holding {
    const n = messageOf(key);
    const known = this.#holdings.get(n);
    // Answers of one group are read in order, but a verdict that a claim depends on is never left to that.
    if (known !== undefined) {
      const needs = known.plan[key - n * PLACES]![1];
      if (needs.every((need) => known.plan[need]![0] in known.verdicts)) return known;
    }
    const holding = this.#records.holding(n);
    if (holding === undefined) throw new Fault('there is no message of that job', { n });
    this.#remember(n, holding);
    return holding;
  }

  #addDeliveries(holding: Holding, json: string | null): void {
    if (json !== null) holding.deliveries = [...holding.deliveries, ...(JSON.parse(json) as Delivery[])];
  }

  /** What a claim's token says, or undefined where it was never one. */
  #proof(job: Claim): { key: number; stage: Stage; token: number } | undefined {
    const match = /^([0-9a-z]{1,11})\.([0-9a-z]{1,11})$/.exec(job.token);
    if (match === null) return;
    return { key: Number.parseInt(match[1]!, 36), stage: job.stage, token: Number.parseInt(match[2]!, 36) };
  }
}

const storedPlan = (plan: readonly PlannedJob[]): StoredPlan => {
  const places = placesOf(plan);
  return plan.map(({ stage }, place) => [stage, places[place]!]);
};
