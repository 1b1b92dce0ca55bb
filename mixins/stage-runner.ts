/**
 * Runs one stage's jobs: claims them when told or by itself, gives each its deadline, and settles it, sends it back with
 * a pause, or (after the last try) does what the stage's policy says. A hung handler costs its own slot until its
 * deadline and nothing else.
 */

import { backoffMs } from '../core/delivery/retry.ts';
import type { StageContext, StageResult } from '../core/filter/stage.ts';
import type { StageSpec } from '../core/filter/stages.ts';
import type { Verdict } from '../core/filter/verdict.ts';
import { asMailError } from '../core/mail/errors.ts';
import type { BlobStore } from '../core/ports/blob-store.ts';
import type { Delivery, Job, Queue } from '../core/ports/queue.ts';
import { PACE_MS, type Pace } from './pace.ts';

/** A handler's result; delivery tells what it did for each recipient too, also when it then throws (see StageFailure). */
export type RunResult = StageResult & { readonly deliveries?: readonly Delivery[] };
export type RunHandler = (context: StageContext) => Promise<RunResult>;

/** A failed try that did a part: its deliveries are kept. `permanent`: trying again can't help. */
export class StageFailure extends Error {
  readonly deliveries: readonly Delivery[];
  readonly permanent: boolean;
  constructor(message: string, deliveries: readonly Delivery[], permanent = false) {
    super(message);
    this.deliveries = deliveries;
    this.permanent = permanent;
  }
}

export interface RunnerOptions {
  readonly spec: StageSpec;
  readonly queue: Queue;
  readonly blobs: BlobStore;
  readonly handler: RunHandler;
  /** Jobs in work at a time. */
  readonly concurrency: number;
  readonly pace: Pace;
  readonly now: () => number;
  readonly random: () => number;
  readonly report: (event: string, facts: Record<string, unknown>) => void;
  readonly observe: (outcome: string, durationMs: number) => void;
}

/** Claimers also look by themselves: a lost hint delays by no more than this. */
const POLL_MS = 5_000;
/** The lease outlives the deadline by this, so that a settle on time is never void. */
const LEASE_MARGIN_MS = 10_000;
/** What has waited so long for a slot gets a new lease before it begins. */
const WAIT_MS_MAX = LEASE_MARGIN_MS / 2;
const CLAIM_MAX = 32;

export class StageRunner {
  readonly #options: RunnerOptions;
  #running = 0;
  /** Claimed together, so that a claim's cost is shared; started one by one as slots become free. */
  readonly #claimed: { readonly job: Job; readonly at: number }[] = [];
  #claiming = false;
  /** The queue could not be asked, which has been told. */
  #cutOff = false;
  #again = false;
  #stopped = false;
  #timer: NodeJS.Timeout | undefined;
  #wakeAt = 0;
  #unsubscribe: (() => void) | undefined;
  #idle: (() => void) | undefined;
  readonly #aborts = new Set<AbortController>();

  constructor(options: RunnerOptions) {
    this.#options = options;
  }

  start(): void {
    this.#unsubscribe = this.#options.queue.onReady((stage) => {
      if (stage === this.#options.spec.stage) this.wake();
    });
    this.wake();
    // Jobs that wait since before this start; later ones are timed when they fail.
    const { queue, spec, now } = this.#options;
    queue.nextDue(spec.stage).then(
      (due) => due !== null && this.#wakeWithin(Math.max(0, due - now())),
      (error: Error) => this.#tellCutOff(error),
    );
  }

  /** Claims nothing more and waits for what runs; handlers still at work after `timeoutMs` are aborted. */
  async stop(timeoutMs: number): Promise<void> {
    this.#stopped = true;
    this.#unsubscribe?.();
    clearTimeout(this.#timer);
    if (this.#running === 0 && !this.#claiming) return;
    const idle = new Promise<void>((resolve) => {
      this.#idle = resolve;
    });
    const timer = setTimeout(() => {
      for (const abort of this.#aborts) abort.abort(new Error('shutting down'));
    }, timeoutMs);
    await idle;
    clearTimeout(timer);
  }

  /** There may be work. */
  wake(): void {
    this.#again = true;
    this.#pump();
  }

  #pump(): void {
    if (this.#claiming || this.#stopped) return;
    this.#claiming = true;
    void this.#claim().finally(() => {
      this.#claiming = false;
      // Told between the last claim and here: nobody else would look before the next poll.
      if (this.#again && this.#claimed.length === 0 && this.#running < this.#options.concurrency && !this.#isHeldBack())
        this.wake();
      this.#checkIdle();
    });
  }

  async #claim(): Promise<void> {
    const { spec, queue, concurrency, now, pace } = this.#options;
    try {
      while (this.#again && !this.#stopped) {
        const allowed = pace.allowance(now());
        if (allowed < 1) return this.#wakeWithin(PACE_MS);
        if (this.#claimed.length > 0 || this.#running >= concurrency) return;
        const max = Math.min(CLAIM_MAX, allowed);
        this.#again = false;
        const jobs = await queue.claim(spec.stage, { max, leaseMs: this.#leaseMs, now: now() });
        this.#cutOff = false;
        const at = performance.now();
        for (const job of jobs) {
          pace.claimed(job.message.acceptedAt, now());
          this.#claimed.push({ job, at });
        }
        if (jobs.length === max) this.#again = true;
        this.#startClaimed();
      }
      this.#wakeWithin(POLL_MS);
    } catch (error) {
      this.#tellCutOff(error as Error);
      this.#wakeWithin(1_000);
    }
  }

  /** Once for an outage, however often claims are tried in it. */
  #tellCutOff({ message }: Error): void {
    if (this.#cutOff) return;
    this.#cutOff = true;
    this.#options.report('stage.claim-failed', { stage: this.#options.spec.stage, detail: message });
  }

  /** Starts what was claimed as far as there are slots. */
  #startClaimed(): void {
    const { concurrency } = this.#options;
    while (this.#running < concurrency && !this.#stopped) {
      const next = this.#claimed.shift();
      if (next === undefined) return;
      void this.#run(next.job, next.at);
    }
  }

  get #leaseMs(): number {
    return this.#options.spec.deadlineMs + LEASE_MARGIN_MS;
  }

  #isHeldBack(): boolean {
    return this.#options.pace.allowance(this.#options.now()) < 1;
  }

  /** One timer, for the earliest occasion; it is not pushed back by later ones. */
  #wakeWithin(ms: number): void {
    const at = performance.now() + ms;
    if (this.#stopped || (this.#timer !== undefined && this.#wakeAt <= at)) return;
    clearTimeout(this.#timer);
    this.#wakeAt = at;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.wake();
    }, ms).unref();
  }

  async #run(job: Job, claimedAt: number): Promise<void> {
    this.#running++;
    const { observe, report, spec, queue, now } = this.#options;
    try {
      const isLate = performance.now() - claimedAt > WAIT_MS_MAX;
      // Its lease has ended, and somebody else has the job or will.
      if (isLate && !(await queue.extend(job, now() + this.#leaseMs))) return;
      const started = performance.now();
      const outcome = await this.#attempt(job, started);
      observe(outcome, performance.now() - started);
    } catch (error) {
      // The queue itself failed: the lease ends and the job is claimed again.
      report('stage.settle-failed', { queueId: job.queueId, stage: spec.stage, detail: (error as Error).message });
    } finally {
      this.#running--;
      this.#startClaimed();
      // Only when a claim left work behind: an empty claim costs as much as one that finds something.
      if (this.#again && this.#claimed.length === 0) this.#pump();
      this.#checkIdle();
    }
  }

  async #attempt(job: Job, started: number): Promise<string> {
    const { spec, queue, now } = this.#options;
    let result: RunResult;
    try {
      result = await this.#withDeadline(job);
    } catch (error) {
      return this.#failed(job, error, started);
    }
    const { deliveries, ...rest } = result;
    const verdict: Verdict = {
      stage: spec.stage,
      ...rest,
      at: now(),
      durationMs: round(performance.now() - started),
      skipped: false,
    };
    await queue.settle(job, verdict, deliveries);
    return 'settled';
  }

  #withDeadline(job: Job): Promise<RunResult> {
    const { spec, handler, blobs, now } = this.#options;
    const abort = new AbortController();
    this.#aborts.add(abort);
    return new Promise<RunResult>((resolve, reject) => {
      const timer = setTimeout(
        () => abort.abort(new Error(`no verdict within ${spec.deadlineMs} ms`)),
        spec.deadlineMs,
      );
      const settle = (): void => {
        clearTimeout(timer);
        this.#aborts.delete(abort);
      };
      abort.signal.addEventListener('abort', () => {
        settle();
        reject(abort.signal.reason as Error);
      });
      // A handler that throws at once and one that rejects are the same.
      Promise.resolve()
        .then(() => handler({ job, blobs, signal: abort.signal, now: now() }))
        .then(resolve, reject)
        .finally(settle);
    });
  }

  async #failed(job: Job, thrown: unknown, started: number): Promise<string> {
    const { spec, queue, now, random, report } = this.#options;
    const error = thrown instanceof StageFailure ? thrown : asMailError(thrown);
    const deliveries = error instanceof StageFailure ? error.deliveries : [];
    const last = job.attempt >= spec.attemptsMax || (error instanceof StageFailure && error.permanent);
    const facts = { queueId: job.queueId, stage: spec.stage, attempt: job.attempt, detail: error.message };
    if (last && spec.whenBroken === 'skip') {
      report('stage.skipped', facts);
      await queue.settle(job, skipped(spec, `gave up after ${job.attempt} tries: ${error.message}`, now(), started));
      return 'skipped';
    }
    report(last ? 'stage.dead' : 'stage.failed', facts);
    const pause = backoffMs(job.attempt, spec.backoffMs, spec.backoffMsMax, random());
    await queue.fail(job, error.message, last ? null : now() + pause, deliveries);
    if (!last) this.#wakeWithin(pause);
    return last ? 'dead' : 'failed';
  }

  #checkIdle(): void {
    if (this.#stopped && this.#running === 0 && !this.#claiming) this.#idle?.();
  }
}

const round = (ms: number): number => Math.round(ms * 100) / 100;

/** The verdict of a stage that the message goes on without. */
export const skipped = (spec: StageSpec, why: string, at: number, started: number): Verdict => ({
  stage: spec.stage,
  result: 'skipped',
  score: null,
  reasons: [why],
  version: '',
  durationMs: round(performance.now() - started),
  at,
  headers: [],
  facts: {},
  skipped: true,
});
