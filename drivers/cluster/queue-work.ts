/**
 * Claiming jobs and what claimers then do with them. A claim takes, in this order, what was leased to this process when it
 * became ready, what pointers name, and what the store finds to be due; each is one guarded change of one document.
 */

import { asMailError, type Facts, MailError } from '../../core/mail/errors.ts';
import type { QueueId } from '../../core/mail/ids.ts';
import type { Job } from '../../core/ports/queue.ts';
import type { Collection } from './mongo-collection.ts';
import {
  type Change,
  claimed,
  extended,
  failed,
  type Handed,
  held,
  settled,
  straightened,
  wasHeld,
} from './queue-changes.ts';
import type { Claimers } from './queue-claimers.ts';
import { BUCKETS, duePath, FORMAT, jobOf, type QueueDocument, type Stage } from './queue-document.ts';
import { hasShape } from './queue-shape.ts';
import type { QueueWriter } from './queue-writer.ts';

export type Claim = Pick<Job, 'queueId' | 'stage' | 'token'>;

interface WorkOptions {
  readonly documents: Collection<QueueDocument>;
  readonly writer: QueueWriter;
  readonly claimers: Claimers;
  /** The server's time. */
  readonly now: () => number;
  /** Pointers tell of jobs that other nodes have made ready. */
  readonly isPointed: () => boolean;
  /** Called when a job of any stage was found that nobody has told of. */
  readonly overdue: () => void;
  readonly report: (event: string, facts: Facts) => void;
}

interface ClaimOptions {
  readonly max: number;
  readonly leaseMs: number;
  /** By the server's clock. */
  readonly now: number;
}

/** A job is given out with at least this share of its lease. */
const LEASE_SHARE_MIN = 0.8;
/** Asked for more than is claimed: others may be faster, and the oldest shall be among them. */
const ASK_MORE = 8;
const ASKED_MAX = 200;
const ROUNDS_MAX = 4;
/** While the database is away a claim whose answer was lost, and a job's result, are not given up at once. */
const CLAIM_PATIENCE_MS = 20_000;
const RESULT_PATIENCE_MS = 60_000;
/** A pointer whose job could not be claimed, because the database was away, comes again. */
const TICKET_AGAIN_MS = 3_000;

export class QueueWork {
  readonly #options: WorkOptions;

  constructor(options: WorkOptions) {
    this.#options = options;
  }

  async claim(stage: Stage, { max, leaseMs, now }: ClaimOptions): Promise<Job[]> {
    const { claimers, isPointed } = this.#options;
    const jobs = await this.#claimHanded(stage, { max, leaseMs, now });
    const lease = (): Handed => claimers.lease(stage, now + leaseMs);
    // Whatever was claimed before something failed is given out.
    try {
      if (jobs.length < max && claimers.mustAskFirst(stage, now))
        jobs.push(...(await this.#ask(stage, Math.ceil((max - jobs.length) / 4), now, lease)));
      jobs.push(...(await this.#claimPointed(stage, max - jobs.length, now, lease)));
      if (jobs.length < max && (claimers.mustAsk(stage, now, isPointed()) || (await this.#finds(stage, now))))
        jobs.push(...(await this.#ask(stage, max - jobs.length, now, lease)));
    } catch (error) {
      claimers.mayHaveMore(stage);
      if (jobs.length === 0) throw error;
    }
    return jobs.sort((a, b) => (a.queueId < b.queueId ? -1 : 1));
  }

  async #claimHanded(stage: Stage, { max, leaseMs, now }: ClaimOptions): Promise<Job[]> {
    const until = now + leaseMs;
    const jobs = this.#options.claimers.takeHanded(stage, max).map(async ({ queueId, ...lease }) => {
      // What was handed over long ago, while nobody claimed, has little of its lease left.
      const isFresh = lease.until >= now + leaseMs * LEASE_SHARE_MIN;
      if (!isFresh && !(await this.extend({ queueId, ...lease, stage }, until))) return;
      const document =
        this.#options.writer.remembered(queueId) ?? (await this.#options.documents.findOne({ _id: queueId }));
      return document === undefined ? undefined : this.#give(document as QueueDocument, stage, lease.token);
    });
    return (await Promise.all(jobs)).filter((job) => job !== undefined);
  }

  async #claimPointed(stage: Stage, max: number, now: number, lease: () => Handed): Promise<Job[]> {
    const jobs = this.#options.claimers.takeTickets(stage, max).map(async ({ queueId, done }) => {
      // Claimed here, or settled, since the pointer was sent.
      const known = this.#options.writer.remembered(queueId)?.jobs.find((job) => job.stage === stage);
      if (known !== undefined && known.state !== 'ready') return void done();
      try {
        const job = await this.#claimOne(queueId, stage, now, lease());
        done();
        return job;
      } catch (error) {
        done(TICKET_AGAIN_MS);
        throw error;
      }
    });
    return givenOf(await Promise.allSettled(jobs));
  }

  /**
   * Whether the store has a job that is due and that nobody has told of. One request asks for all stages that run here, in
   * place of one for each: that is most of what a node at rest costs. Where it finds any, all of them ask.
   */
  async #finds(stage: Stage, now: number): Promise<boolean> {
    const { claimers, documents, overdue } = this.#options;
    if (!claimers.mustLook(stage, now)) return false;
    const $or = claimers.stages.map((one) => ({ [duePath(one)]: { $lte: now } }));
    if ((await documents.findOne({ $or, format: FORMAT }, { fields: [] })) === undefined) return false;
    overdue();
    return true;
  }

  /** Looks in the store for what is due, oldest first. */
  #ask(stage: Stage, max: number, now: number, lease: () => Handed): Promise<Job[]> {
    const { claimers } = this.#options;
    return claimers.ask(stage, now, async () => {
      const jobs: Job[] = [];
      const most = Math.min(ASKED_MAX, 2 * max + ASK_MORE);
      for (let round = 0; round < ROUNDS_MAX && jobs.length < max; round++) {
        const share = claimers.lookAt(stage);
        const filter = {
          [duePath(stage)]: { $lte: now },
          ...(share === null ? {} : { bucket: { $gte: share.from * BUCKETS, $lt: share.to * BUCKETS } }),
          format: FORMAT,
        };
        const due = await this.#options.documents.find({
          filter,
          sort: { [duePath(stage)]: 1, _id: 1 },
          limit: most,
        });
        const found = due.filter(hasShape);
        if (found.length < due.length) await this.#setAside(due.filter((document) => !hasShape(document)));
        if (claimers.looked(stage, found.length, found.length === most)) {
          claimers.mayHaveMore(stage);
          continue;
        }
        const oldest = found.sort((a, b) => (a._id < b._id ? -1 : 1)).slice(0, max - jobs.length);
        const claims = oldest.map((document) => {
          this.#options.writer.remember(document);
          return this.#claimOne(document._id, stage, now, lease());
        });
        jobs.push(...givenOf(await Promise.allSettled(claims)));
        if (found.length === most || oldest.length < found.length) claimers.mayHaveMore(stage);
        if (found.length < most && oldest.length === found.length) break;
      }
      return jobs;
    });
  }

  /** Among the dead letters, where they can be seen, and no claim finds them any more. */
  async #setAside(documents: readonly QueueDocument[]): Promise<void> {
    // With a mark that no version has had: of several that find it one tells of it.
    const aside = { state: 'dead', due: {}, mark: 'aside' } as const;
    for (const { _id, mark } of documents) {
      const { matched } = await this.#options.documents.updateOne({ _id, mark }, { $set: aside });
      if (matched > 0) this.#options.report('queue.unreadable', { queueId: _id });
    }
  }

  async #claimOne(id: QueueId, stage: Stage, now: number, lease: Handed): Promise<Job | undefined> {
    const started = this.#options.now();
    const leaseMs = lease.until - now;
    const change = await this.#options.writer.change(id, {
      apply: (document) => claimed(document, lease, now) ?? straightened(document, now),
      happened: (document) => held(document, stage, lease.token) !== undefined,
      patienceMs: CLAIM_PATIENCE_MS,
    });
    if (change === undefined) return;
    const waited = this.#options.now() - started;
    const isFresh = waited <= leaseMs * (1 - LEASE_SHARE_MIN);
    const { token } = lease;
    if (!isFresh && !(await this.extend({ queueId: id, stage, token }, lease.until + waited))) return;
    return this.#give(change.document, stage, token);
  }

  async #give(document: QueueDocument, stage: Stage, token: string): Promise<Job | undefined> {
    const job = held(document, stage, token);
    if (job === undefined) return;
    // Nobody will point to it when this lease has ended.
    this.#options.claimers.dueAt(stage, job.due);
    try {
      return jobOf(document, job, token);
    } catch (error) {
      // One unreadable record must not stop the stage: it goes to the dead letters, where it can be seen.
      const text = `the record is unreadable: ${asMailError(error).message}`;
      await this.fail({ queueId: document._id, stage, token }, text, null, null);
      return;
    }
  }

  async extend({ queueId, stage, token }: Claim, until: number): Promise<boolean> {
    const lease = { stage, token, until };
    const change = await this.#options.writer.change(queueId, {
      apply: (document) => extended(document, lease, this.#options.now()),
    });
    return change !== undefined;
  }

  /** The change that settled it; undefined when the token is void. */
  settle({ queueId, stage, token }: Claim, verdict: string, deliveries: string | null): Promise<Change | undefined> {
    const { writer, claimers } = this.#options;
    const now = this.#options.now();
    const settling = { stage, token, now, verdict, deliveries };
    return writer.change(queueId, {
      apply: (document) => settled(document, settling, claimers.handOut(now)),
      happened: (document) => wasHeld(document, stage, token) && held(document, stage, token) === undefined,
      patienceMs: RESULT_PATIENCE_MS,
      withdraw: ({ handed = [] }) => claimers.withdraw(handed),
    });
  }

  async fail(
    { queueId, stage, token }: Claim,
    error: string,
    retryAt: number | null,
    deliveries: string | null,
  ): Promise<boolean> {
    const { writer, claimers, now } = this.#options;
    const failing = { stage, token, error, retryAt, deliveries, now: now() };
    const change = await writer.change(queueId, {
      apply: (document) => failed(document, failing),
      happened: (document) => wasHeld(document, stage, token) && held(document, stage, token) === undefined,
      patienceMs: RESULT_PATIENCE_MS,
    });
    if (change !== undefined && retryAt !== null) claimers.dueAt(stage, retryAt);
    return change !== undefined;
  }
}

/** The jobs that were given. @throws the first failure, where nothing was given and something failed */
function givenOf(results: readonly PromiseSettledResult<Job | undefined>[]): Job[] {
  const jobs = results.flatMap((result) => (result.status === 'fulfilled' ? (result.value ?? []) : []));
  const failure = results.find((result) => result.status === 'rejected');
  if (failure === undefined || jobs.length > 0) return jobs;
  throw failure.reason instanceof MailError ? failure.reason : asMailError(failure.reason);
}
