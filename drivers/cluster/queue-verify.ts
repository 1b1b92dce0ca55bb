/**
 * Whether custody records contradict themselves: a job is blocked exactly while one that it needs is not done, a job that
 * is done has its verdict, and what is looked for follows from the jobs. What follows from the rest can be repaired.
 */

import type { Damage } from '../../core/ports/blob-store.ts';
import {
  deliveriesOf,
  derived,
  FORMAT,
  finishedKeys,
  messageOf,
  type QueueDocument,
  type StoredJob,
  verdictsOf,
} from './queue-document.ts';
import { hasShape } from './queue-shape.ts';

export interface Finding {
  readonly details: readonly string[];
  /** The record as it should be; undefined where nothing can be made up. */
  readonly repaired: QueueDocument | undefined;
}

/** undefined where nothing is wrong. */
export function examine(document: QueueDocument, now: number): Finding | undefined {
  // Records of a newer program are its own business.
  if (document.format !== FORMAT) return;
  try {
    if (!hasShape(document)) throw new TypeError('it has not the shape of a record');
    messageOf(document);
    verdictsOf(document);
    deliveriesOf(document);
  } catch (error) {
    return { details: [`the record is unreadable: ${(error as Error).message}`], repaired: undefined };
  }
  const details: string[] = [];
  const jobs = document.jobs.map((job): StoredJob => {
    if (job.state !== 'done' || job.verdict !== null) return job;
    details.push(`job ${job.stage} is done without a verdict`);
    return { ...job, state: 'ready', due: 0, token: null };
  });
  const isOpen = (place: number): boolean => jobs[place]?.state !== 'done';
  for (const [place, job] of jobs.entries()) {
    const isBlocked = job.needs.some(isOpen);
    if (job.state === 'done' || (job.state === 'blocked') === isBlocked) continue;
    details.push(`job ${job.stage} waits for the wrong stages`);
    jobs[place] = { ...job, state: isBlocked ? 'blocked' : 'ready', due: 0, token: null };
  }
  const { state, due, shape } = derived(jobs, document.at, now);
  if (state === 'done') details.push('all jobs are settled, but it is not finished');
  else if (details.length === 0 && (state !== document.state || shape !== document.shape))
    details.push('its state does not follow from its jobs');
  else if (details.length === 0 && document.jobs.some(({ stage }) => !(document.due[stage]! <= due[stage]!)))
    details.push('it is not looked for when it is due');
  if (details.length === 0) return;
  const finished = state === 'done' ? { finished: now, keys: finishedKeys(document.keys) } : {};
  return { details, repaired: { ...document, ...finished, state, due, shape, jobs } };
}

export const damages = (id: string, { details, repaired }: Finding, repair: boolean): Damage[] =>
  details.map((detail) => ({ what: `queue record ${id}`, detail, repaired: repair && repaired !== undefined }));
