/**
 * Every change of a custody record, as pure functions from one document to the next. Each returns `undefined` where it
 * does not apply any more (the token is void, the job is not due), and tells which jobs have become ready.
 */

import {
  blobsNamed,
  derived,
  finishedKeys,
  isClaimable,
  NEVER,
  type QueueDocument,
  type StoredJob,
  sameDue,
} from './queue-document.ts';

/** A job that was leased in the same change that made it ready, because a claimer waits for it. */
export interface Handed {
  readonly stage: string;
  readonly token: string;
  readonly until: number;
}

export interface Change {
  readonly document: QueueDocument;
  readonly ready?: readonly string[];
  readonly handed?: readonly Handed[];
}

/** Leases a job that has become ready, or says that nobody here waits for it. */
export type HandOut = (stage: string) => Handed | undefined;

const ERROR_CHARACTERS_MAX = 2_000;

const placeOf = ({ jobs }: QueueDocument, stage: string): number => jobs.findIndex((job) => job.stage === stage);

/** The job of a stage if `token` holds it. */
export function held(document: QueueDocument, stage: string, token: string): StoredJob | undefined {
  const job = document.jobs[placeOf(document, stage)];
  return job?.state === 'running' && job.token === token ? job : undefined;
}

/** Whether the last claim of the job was this one: it may have been settled or have failed since. */
export const wasHeld = (document: QueueDocument, stage: string, token: string): boolean =>
  document.jobs[placeOf(document, stage)]?.token === token;

function withJobs(document: QueueDocument, jobs: readonly StoredJob[], now: number): QueueDocument {
  return { ...document, ...derived(jobs, document.at, now), jobs };
}

const replaced = (document: QueueDocument, stage: string, job: StoredJob): StoredJob[] =>
  document.jobs.with(placeOf(document, stage), job);

/** Leases ready jobs of a new document, or one that was changed, to claimers that wait. */
export function handedOut(
  document: QueueDocument,
  places: readonly number[],
  handOut: HandOut,
  now: number,
): Required<Change> {
  const ready: string[] = [];
  const handed: Handed[] = [];
  const jobs = [...document.jobs];
  for (const place of places) {
    const job = jobs[place]!;
    const lease = handOut(job.stage);
    if (lease === undefined) ready.push(job.stage);
    else {
      handed.push(lease);
      jobs[place] = { ...job, state: 'running', due: lease.until, attempts: job.attempts + 1, token: lease.token };
    }
  }
  return { document: handed.length === 0 ? document : withJobs(document, jobs, now), ready, handed };
}

export function claimed(document: QueueDocument, lease: Handed, now: number): Change | undefined {
  const job = document.jobs[placeOf(document, lease.stage)];
  if (job === undefined || !isClaimable(job, now)) return;
  const { token, until } = lease;
  const next: StoredJob = { ...job, state: 'running', due: until, attempts: job.attempts + 1, token };
  return { document: withJobs(document, replaced(document, job.stage, next), now) };
}

export function extended(document: QueueDocument, { stage, token, until }: Handed, now: number): Change | undefined {
  const job = held(document, stage, token);
  if (job === undefined) return;
  return { document: withJobs(document, replaced(document, stage, { ...job, due: until }), now) };
}

export interface Settling {
  readonly stage: string;
  readonly token: string;
  readonly verdict: string;
  readonly deliveries: string | null;
  readonly now: number;
}

export function settled(document: QueueDocument, settling: Settling, handOut: HandOut): Change | undefined {
  const { stage, token, now } = settling;
  const job = held(document, stage, token);
  if (job === undefined) return;
  const jobs = replaced(document, stage, { ...job, state: 'done', due: 0, verdict: settling.verdict });
  const freed: number[] = [];
  for (const [place, other] of jobs.entries())
    if (other.state === 'blocked' && other.needs.every((need) => jobs[need]!.state === 'done')) {
      jobs[place] = { ...other, state: 'ready' };
      freed.push(place);
    }
  const finished = jobs.every((other) => other.state === 'done');
  const parts = finished ? [] : blobsNamed(settling.verdict);
  const next: QueueDocument = {
    ...withJobs(document, jobs, now),
    finished: finished ? now : NEVER,
    keys: finished ? finishedKeys(document.keys) : withAll(document.keys, parts),
    deliveries: withDeliveries(document, settling.deliveries),
  };
  return handedOut(next, freed, handOut, now);
}

export interface Failing {
  readonly stage: string;
  readonly token: string;
  readonly error: string;
  readonly retryAt: number | null;
  readonly deliveries: string | null;
  readonly now: number;
}

export function failed(document: QueueDocument, failing: Failing): Change | undefined {
  const { stage, token, retryAt, now } = failing;
  const job = held(document, stage, token);
  if (job === undefined) return;
  const jobs = replaced(document, stage, {
    ...job,
    state: retryAt === null ? 'dead' : 'waiting',
    due: retryAt ?? 0,
    error: failing.error.slice(0, ERROR_CHARACTERS_MAX),
  });
  return {
    document: { ...withJobs(document, jobs, now), deliveries: withDeliveries(document, failing.deliveries) },
  };
}

const isOpen = ({ state }: QueueDocument): boolean => state === 'queued' || state === 'dead';

/** Waiting and dead jobs, of one stage or all, are ready with their attempts reset. */
export function retried(document: QueueDocument, stage: string | undefined, now: number): Change | undefined {
  if (!isOpen(document)) return;
  const ready: string[] = [];
  const jobs = document.jobs.map((job): StoredJob => {
    if ((job.state !== 'waiting' && job.state !== 'dead') || (stage !== undefined && job.stage !== stage)) return job;
    ready.push(job.stage);
    return { ...job, state: 'ready', due: 0, attempts: 0, token: null };
  });
  return ready.length === 0 ? undefined : { document: withJobs(document, jobs, now), ready };
}

export function dropped(document: QueueDocument, why: string, now: number): Change | undefined {
  if (!isOpen(document)) return;
  const error = `dropped: ${why}`.slice(0, ERROR_CHARACTERS_MAX);
  const jobs = document.jobs.map(
    (job): StoredJob => (job.state === 'done' ? job : { ...job, state: 'dead', due: 0, token: null, error }),
  );
  return {
    document: { ...withJobs(document, jobs, now), state: 'dropped', finished: now, keys: finishedKeys(document.keys) },
  };
}

/** Jobs leased to a process that is gone are ready again; what they have tried stays counted. */
export function released(document: QueueDocument, instance: string, now: number): Change | undefined {
  const ready: string[] = [];
  const jobs = document.jobs.map((job): StoredJob => {
    if (job.state !== 'running' || !job.token?.startsWith(`${instance}.`)) return job;
    ready.push(job.stage);
    return { ...job, state: 'ready', due: 0, token: null };
  });
  return ready.length === 0 ? undefined : { document: withJobs(document, jobs, now), ready };
}

/** Where `due` does not follow from the jobs, it is made to. */
export function straightened(document: QueueDocument, now: number): Change | undefined {
  const { due } = derived(document.jobs, document.at, now);
  return sameDue(due, document.due) ? undefined : { document: { ...document, due } };
}

function withAll(keys: readonly string[], more: readonly string[]): readonly string[] {
  return more.length === 0 ? keys : [...new Set([...keys, ...more])];
}

const withDeliveries = ({ deliveries }: QueueDocument, more: string | null): readonly string[] =>
  more === null ? deliveries : [...deliveries, more];

/** The fields that an update must set to make one document of the other. */
export function difference(before: QueueDocument, after: QueueDocument): Record<string, unknown> {
  const set: Record<string, unknown> = { mark: after.mark };
  for (const field of ['state', 'shape', 'finished', 'keys'] as const)
    if (before[field] !== after[field]) set[field] = after[field];
  for (const [stage, due] of Object.entries(after.due)) if (before.due[stage] !== due) set[`due.${stage}`] = due;
  for (const [place, job] of after.jobs.entries()) if (before.jobs[place] !== job) set[`jobs.${place}`] = job;
  for (let i = before.deliveries.length; i < after.deliveries.length; i++) set[`deliveries.${i}`] = after.deliveries[i];
  return set;
}
