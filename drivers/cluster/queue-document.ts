/**
 * The custody record: one document per accepted message, with everything that is known of it. What is kept once and whole
 * (the accepted message, verdicts, deliveries) is JSON text, so it comes back exactly; what is looked for is a scalar.
 * `due`, `shape` and `state` always follow from the jobs.
 */

import { hash } from 'node:crypto';
import type { AcceptedMessage } from '../../core/mail/accepted.ts';
import type { BlobRef, QueueId } from '../../core/mail/ids.ts';
import type {
  Delivery,
  Job,
  JobInfo,
  JobState,
  MessageRecord,
  MessageState,
  PlannedJob,
} from '../../core/ports/queue.ts';
import { placesOf } from '../queue-plan.ts';
import type { Identified } from './mongo-types.ts';
import { asMessage, hasShape } from './queue-shape.ts';

export type Stage = Job['stage'];
type Verdicts = Job['verdicts'];

/** Of these documents; those of another format are left to nodes that know it. */
export const FORMAT = 1;
/** Later than any time: for what never falls due and has not finished. */
export const NEVER = Number.MAX_SAFE_INTEGER;
/** By how many parts nodes share the looking for overdue jobs. */
export const BUCKETS = 4096;

export interface StoredJob {
  readonly stage: string;
  /** Places of the jobs it needs. */
  readonly needs: readonly number[];
  readonly state: JobState;
  /** running: the lease's end; waiting: when it is tried again; else 0. */
  readonly due: number;
  readonly attempts: number;
  /** Of the last claim; proves it while the job is running. */
  readonly token: string | null;
  readonly error: string | null;
  readonly verdict: string | null;
}

export interface QueueDocument extends Identified {
  readonly _id: QueueId;
  readonly format: number;
  /** Changes with each update, which names the one it was made for. */
  readonly mark: string;
  readonly state: Exclude<MessageState, 'refused'>;
  /** By stage, when there is something to do: a claim, the end of a lease, another try; `NEVER` for nothing. */
  readonly due: Readonly<Record<string, number>>;
  /** Which of the BUCKETS it falls into. */
  readonly bucket: number;
  /** Stages with their jobs' states, for counting. */
  readonly shape: string;
  /** Accepted at, by the server's clock. */
  readonly at: number;
  readonly finished: number;
  /** What it is found by: its Message-ID, and the blobs that it needs until it has finished. One index serves both. */
  readonly keys: readonly string[];
  readonly accepted: string;
  readonly jobs: readonly StoredJob[];
  readonly deliveries: readonly string[];
}

/** Message-IDs are looked up by part of their hash, shorter than a blob's, and compared whole. */
export const messageIdKey = (messageId: string): string => `m${hash('sha256', messageId, 'hex').slice(0, 16)}`;

const messageIdKeys = (messageId: string): string[] => (messageId === '' ? [] : [messageIdKey(messageId)]);

/** Without those of blobs. */
export const finishedKeys = (keys: readonly string[]): readonly string[] => keys.filter((key) => key.startsWith('m'));

const bucketOf = (id: QueueId): number => Number.parseInt(hash('sha256', id, 'hex').slice(0, 3), 16);

export function newDocument(
  message: AcceptedMessage,
  plan: readonly PlannedJob[],
  times: { readonly at: number; readonly now: number },
): Omit<QueueDocument, 'mark'> {
  const places = placesOf(plan);
  const jobs = plan.map(
    ({ stage }, place): StoredJob => ({
      stage,
      needs: places[place]!,
      state: places[place]!.length === 0 ? 'ready' : 'blocked',
      due: 0,
      attempts: 0,
      token: null,
      error: null,
      verdict: null,
    }),
  );
  const isEmpty = plan.length === 0;
  const base = {
    _id: message.queueId,
    format: FORMAT,
    bucket: bucketOf(message.queueId),
    at: times.at,
    finished: isEmpty ? times.at : NEVER,
    keys: [...messageIdKeys(message.messageId), ...(isEmpty ? [] : [message.blob])],
    accepted: JSON.stringify(message),
    deliveries: [],
  };
  return { ...base, ...derived(jobs, times.at, times.now), jobs, state: isEmpty ? 'done' : 'queued' };
}

/**
 * What is looked for, from the jobs. Ready jobs are due since the message came, so that older messages go first.
 * @param at the message came
 */
export function derived(
  jobs: readonly StoredJob[],
  at: number,
  now: number,
): Pick<QueueDocument, 'due' | 'shape' | 'state'> {
  const due: Record<string, number> = {};
  let shape = '';
  let state: QueueDocument['state'] = 'done';
  for (const job of jobs) {
    shape += `${shape === '' ? '' : ' '}${job.stage}=${job.state}`;
    if (job.state === 'dead') state = 'dead';
    else if (job.state !== 'done' && state === 'done') state = 'queued';
    due[job.stage] = job.state === 'ready' ? Math.min(at, now) : dueOf(job);
  }
  return { due, shape, state };
}

const dueOf = ({ state, due }: StoredJob): number => (state === 'running' || state === 'waiting' ? due : NEVER);

/** The path of `due` for one stage. */
export const duePath = (stage: string): `due.${string}` => `due.${stage}`;

/** Whether `due` says of each stage what another says. */
export const sameDue = (one: QueueDocument['due'], other: QueueDocument['due']): boolean =>
  Object.keys(one).every((stage) => one[stage] === other[stage]);

export const isClaimable = (job: StoredJob, now: number): boolean =>
  job.state === 'ready' || ((job.state === 'running' || job.state === 'waiting') && job.due <= now);

/** @throws SyntaxError or TypeError where the text is damaged */
export const messageOf = (document: QueueDocument): AcceptedMessage => asMessage(JSON.parse(document.accepted));

/** @throws SyntaxError where a text is damaged */
export function verdictsOf(document: QueueDocument): Verdicts {
  const verdicts: Record<string, unknown> = {};
  for (const { stage, verdict } of document.jobs) if (verdict !== null) verdicts[stage] = JSON.parse(verdict);
  return verdicts as Verdicts;
}

/** @throws SyntaxError where a text is damaged */
export const deliveriesOf = (document: QueueDocument): Delivery[] =>
  document.deliveries.flatMap((list) => JSON.parse(list) as Delivery[]);

/** @param behind how far the node's clock is behind the server's, in milliseconds */
function jobInfo(document: QueueDocument, job: StoredJob, behind: number): JobInfo {
  return {
    stage: job.stage as Stage,
    needs: job.needs.map((need) => document.jobs[need]!.stage as Stage),
    state: job.state,
    attempts: job.attempts,
    dueAt: job.due === 0 ? 0 : job.due - behind,
    lastError: job.error,
  };
}

export function recordOf(document: QueueDocument, behind: number): MessageRecord {
  const finishedAt = document.finished === NEVER ? null : document.finished;
  const known = { queueId: document._id, state: document.state, refused: null, finishedAt };
  try {
    if (!hasShape(document)) throw new TypeError('it has not the shape of a record');
    return {
      ...known,
      accepted: messageOf(document),
      jobs: document.jobs.map((job) => jobInfo(document, job, behind)),
      verdicts: verdictsOf(document),
      deliveries: deliveriesOf(document),
    };
  } catch (error) {
    // A damaged record, or one of a format to come, is shown without what cannot be read; `verify` says so.
    if (!(error instanceof SyntaxError || error instanceof TypeError)) throw error;
    return { ...known, accepted: null, jobs: [], verdicts: {}, deliveries: [] };
  }
}

/** @throws SyntaxError where a text is damaged */
export const jobOf = (document: QueueDocument, job: StoredJob, token: string): Job => ({
  queueId: document._id,
  stage: job.stage as Stage,
  token,
  attempt: job.attempts,
  message: messageOf(document),
  verdicts: verdictsOf(document),
  deliveries: deliveriesOf(document),
});

/**
 * A record of another queue as a document of this one; jobs that were running there are ready.
 * @param storeTime turns a time of the record into the server's
 */
export function documentOf(
  record: MessageRecord & { readonly accepted: AcceptedMessage },
  storeTime: (time: number) => number,
  now: number,
): QueueDocument {
  const { accepted, verdicts, deliveries, finishedAt } = record;
  const jobs = record.jobs.map((job): StoredJob => {
    const verdict = verdicts[job.stage];
    const state = job.state === 'running' ? 'ready' : job.state;
    return {
      stage: job.stage,
      needs: job.needs.map((need) => record.jobs.findIndex(({ stage }) => stage === need)),
      state,
      due: state === 'waiting' ? storeTime(job.dueAt) : 0,
      attempts: job.attempts,
      token: null,
      error: job.lastError,
      verdict: verdict === undefined ? null : JSON.stringify(verdict),
    };
  });
  const isOpen = record.state === 'queued' || record.state === 'dead';
  const parts = jobs.flatMap(({ verdict }) => (verdict === null ? [] : blobsNamed(verdict)));
  const at = storeTime(accepted.acceptedAt);
  return {
    _id: record.queueId,
    format: FORMAT,
    bucket: bucketOf(record.queueId),
    mark: '',
    at,
    finished: isOpen ? NEVER : storeTime(finishedAt ?? accepted.acceptedAt),
    keys: [...messageIdKeys(accepted.messageId), ...(isOpen ? new Set([accepted.blob, ...parts]) : [])],
    accepted: JSON.stringify(accepted),
    deliveries: deliveries.length === 0 ? [] : [JSON.stringify(deliveries)],
    ...derived(jobs, at, now),
    ...(record.state === 'dropped' ? { state: 'dropped' } : {}),
    jobs,
  };
}

/** Blobs that a verdict names (parts of the message): quoted hex SHA-256s in its JSON. */
const REFS = /"([0-9a-f]{64})"/g;
const REFS_MAX = 2_000;

export function blobsNamed(json: string): BlobRef[] {
  const refs = new Set<string>();
  for (const match of json.matchAll(REFS)) {
    refs.add(match[1]!);
    if (refs.size === REFS_MAX) break;
  }
  return [...refs] as BlobRef[];
}
