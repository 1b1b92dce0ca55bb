/**
 * The durable queue and custody record: one record per accepted message, one job per stage. A job can be claimed once
 * the stages it needs have settled (a verdict, or skipped by policy). Everything is at least once: a claim that is not
 * settled before its lease ends is given out again.
 */

import type { Stage, Verdict } from '../filter/verdict.ts';
import type { AcceptedMessage, RefusedMessage } from '../mail/accepted.ts';
import type { BlobRef, QueueId } from '../mail/ids.ts';
import type { Damage } from './blob-store.ts';

/** One stage of the plan a message is accepted with; `needs` names stages of the same plan. */
export interface PlannedJob {
  readonly stage: Stage;
  readonly needs: readonly Stage[];
}

export type JobState = 'blocked' | 'ready' | 'running' | 'waiting' | 'done' | 'dead';

export interface JobInfo {
  readonly stage: Stage;
  readonly needs: readonly Stage[];
  /** blocked: needs are open; ready: may be claimed; running: leased; waiting: until `dueAt`; dead: gave up. */
  readonly state: JobState;
  /** How often it was claimed. */
  readonly attempts: number;
  /** Milliseconds since 1970 before which it is not claimed. */
  readonly dueAt: number;
  readonly lastError: string | null;
}

/** A claimed job. `token` proves the claim; it is void once the lease has ended and another claim was made. */
export interface Job {
  readonly queueId: QueueId;
  readonly stage: Stage;
  readonly token: string;
  /** 1 for the first try. */
  readonly attempt: number;
  readonly message: AcceptedMessage;
  /** Verdicts so far, by stage. */
  readonly verdicts: Readonly<Partial<Record<Stage, Verdict>>>;
  /** Deliveries made by earlier tries of this message. */
  readonly deliveries: readonly Delivery[];
}

/** Where one recipient's copy went. */
export interface Delivery {
  readonly recipient: string;
  readonly at: number;
  /** Mailbox name and uid for `trace`, or the reason why it was not delivered. */
  readonly outcome: 'delivered' | 'refused';
  readonly mailbox: string | null;
  readonly uid: number | null;
  readonly detail: string;
}

export type MessageState = 'queued' | 'done' | 'dead' | 'refused' | 'dropped';

/** A message's whole way, for `trace`, `queue show` and the REST API. */
export interface MessageRecord {
  readonly queueId: QueueId;
  readonly state: MessageState;
  readonly accepted: AcceptedMessage | null;
  readonly refused: RefusedMessage | null;
  readonly jobs: readonly JobInfo[];
  readonly verdicts: Readonly<Partial<Record<Stage, Verdict>>>;
  readonly deliveries: readonly Delivery[];
  /** Milliseconds since 1970 when it left the queue, or null. */
  readonly finishedAt: number | null;
}

export interface QueueDepth {
  readonly stage: Stage;
  readonly blocked: number;
  readonly ready: number;
  readonly running: number;
  readonly waiting: number;
  readonly dead: number;
  /** Age in milliseconds of the oldest job that is not blocked, done or dead; 0 for none. */
  readonly oldestMs: number;
}

export interface Queue {
  /** Opens and recovers: claims of a process that is gone are void. */
  open(): Promise<void>;
  close(): Promise<void>;

  /**
   * Takes custody: the record and all of its jobs, together. Resolved means it survives power loss and 250 may be
   * said. The same queue id again changes nothing.
   */
  accept(message: AcceptedMessage, plan: readonly PlannedJob[]): Promise<void>;
  /** Remembers a refusal for traces. Survives the process; power loss may undo it. */
  refuse(message: RefusedMessage): Promise<void>;

  /** Up to `max` jobs of a stage that are due at `now`, oldest first, leased until `now + leaseMs`. */
  claim(
    stage: Stage,
    options: { readonly max: number; readonly leaseMs: number; readonly now: number },
  ): Promise<Job[]>;
  /** Lengthens a claim. False when the token is void. */
  extend(job: Pick<Job, 'queueId' | 'stage' | 'token'>, leaseUntil: number): Promise<boolean>;
  /**
   * Settles a job with its verdict and, in the same transaction, unblocks the jobs that needed it. When it was the
   * last, the record is finished. False when the token is void (another worker has settled it): nothing is changed.
   * Survives the process; power loss may undo it, and the job then runs again.
   */
  settle(
    job: Pick<Job, 'queueId' | 'stage' | 'token'>,
    verdict: Verdict,
    deliveries?: readonly Delivery[],
  ): Promise<boolean>;
  /** A try failed: runs again at `retryAt`, or goes to the dead letters when that is null. False when the token is void. */
  fail(
    job: Pick<Job, 'queueId' | 'stage' | 'token'>,
    error: string,
    retryAt: number | null,
    deliveries?: readonly Delivery[],
  ): Promise<boolean>;

  /** Tells that jobs of a stage may have become ready: a hint, so claimers also poll. Returns the unsubscribe function. */
  onReady(listener: (stage: Stage) => void): () => void;
  /** When the next waiting job of the stage is due, or null: lets a claimer set one timer. */
  nextDue(stage: Stage): Promise<number | null>;

  /** Records by queue id descending (newest first), `limit` at most, those before `cursor`. */
  list(options: {
    readonly states?: readonly MessageState[];
    readonly stage?: Stage;
    readonly cursor?: QueueId;
    readonly limit: number;
  }): Promise<readonly MessageRecord[]>;
  show(id: QueueId): Promise<MessageRecord | undefined>;
  /** Records of a Message-ID (with brackets), newest first, at most 100. */
  findByMessageId(messageId: string): Promise<readonly MessageRecord[]>;
  /** Makes waiting and dead jobs (of one stage, or all) ready at once with their attempts reset. The number of jobs. */
  retry(id: QueueId, stage?: Stage): Promise<number>;
  /** Gives a queued or dead message up for good; its trace stays. False when there is none such. */
  drop(id: QueueId, why: string): Promise<boolean>;
  depth(now: number): Promise<readonly QueueDepth[]>;

  /** Which of these blobs unfinished messages need. */
  liveBlobs(refs: readonly BlobRef[]): Promise<ReadonlySet<BlobRef>>;
  /** Forgets finished records older than `olderThan` (milliseconds since 1970); at most `limit` a call. The number. */
  forget(olderThan: number, limit: number): Promise<number>;
  /**
   * Takes over a record of another queue as it stands; jobs that were running are ready. False, and nothing is changed,
   * where there is a record of that id already. Resolved means that it survives power loss.
   */
  adopt(record: MessageRecord): Promise<boolean>;
  verify(repair: boolean): Promise<readonly Damage[]>;
  backup(destination: string): Promise<void>;
}
