/** A record of another queue as the rows that it is stored in here. Jobs that were running there are ready. */

import type { AcceptedMessage } from '../../core/mail/accepted.ts';
import type { JobState, MessageRecord, MessageState } from '../../core/ports/queue.ts';
import { blobsNamed, messageIdHash } from './queue-records.ts';
import {
  BLOCKED,
  JOB_STATES,
  MESSAGE_STATES,
  QUEUED,
  READY,
  RUNNING,
  type StoredPlan,
  WAITING,
} from './queue-schema.ts';
import type { AdoptArgs } from './queue-worker.ts';

export function adoptArgs(record: MessageRecord & { readonly accepted: AcceptedMessage }): AdoptArgs {
  const { accepted, jobs, verdicts, deliveries } = record;
  const isOpen = record.state === 'queued' || record.state === 'dead';
  const stages = jobs.map((job) => job.stage);
  const plan: StoredPlan = jobs.map((job) => [job.stage, job.needs.map((need) => stages.indexOf(need))]);
  const states: readonly MessageState[] = MESSAGE_STATES;
  const state = states.indexOf(record.state);
  const kept = Object.values(verdicts).map((verdict) => JSON.stringify(verdict));
  const args = {
    id: record.queueId,
    state: Math.max(QUEUED, state),
    at: accepted.acceptedAt,
    finished: isOpen ? null : (record.finishedAt ?? accepted.acceptedAt),
    mid: messageIdHash(accepted.messageId),
    blob: Uint8Array.fromHex(accepted.blob),
    accepted: JSON.stringify(accepted),
    plan: JSON.stringify(plan),
    deliveries: deliveries.length === 0 ? null : JSON.stringify(deliveries),
    parts: isOpen ? kept.flatMap(blobsNamed) : [],
  };
  const numbered = jobs.map((job, place) => ({ ...job, place }));
  const settledHere = (job: (typeof numbered)[number]): boolean => !isOpen || verdicts[job.stage] !== undefined;
  return {
    ...args,
    jobs: numbered
      .filter((job) => !settledHere(job))
      .map(({ place, stage, state: its, dueAt, needs, attempts, lastError: error }) => {
        const open = needs.filter((need) => verdicts[need] === undefined);
        const known = (JOB_STATES as readonly JobState[]).indexOf(its);
        const stored = open.length > 0 ? BLOCKED : known === RUNNING || known === BLOCKED ? READY : known;
        const mask = open.reduce((sum, need) => sum + 2 ** stages.indexOf(need), 0);
        return { place, stage, state: stored, due: stored === WAITING ? dueAt : 0, needs: mask, attempts, error };
      }),
    settled: numbered.filter(settledHere).map(({ place, stage, attempts, lastError: error }) => {
      const verdict = verdicts[stage];
      return { place, attempts, error, verdict: verdict === undefined ? null : JSON.stringify(verdict) };
    }),
  };
}
