/** What a filter stage's decision is given and what it gives back; the stage mixin does the rest (jobs, retries, time). */

import type { BlobStore } from '../ports/blob-store.ts';
import type { Job } from '../ports/queue.ts';
import type { Verdict } from './verdict.ts';

/** The stage's own part of a verdict; stage, time, duration are added by the runner. */
export type StageResult = Pick<Verdict, 'result' | 'score' | 'reasons' | 'version' | 'headers' | 'facts'>;

export interface StageContext {
  readonly job: Job;
  readonly blobs: BlobStore;
  /** Aborted at the deadline and at shutdown. */
  readonly signal: AbortSignal;
  /** Milliseconds since 1970. */
  readonly now: number;
}

export type StageHandler = (context: StageContext) => Promise<StageResult>;
