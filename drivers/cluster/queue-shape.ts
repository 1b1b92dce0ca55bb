/**
 * Whether a custody record, and the message in it, have the shape that they are written in. What was damaged or changed by
 * hand is set aside and told of: it stops nobody's mail, and whatever works with records can rely on their shape.
 */

import type { AcceptedMessage } from '../../core/mail/accepted.ts';

type Fields = Readonly<Record<string, unknown>>;

const STATES: ReadonlySet<unknown> = new Set(['blocked', 'ready', 'running', 'waiting', 'done', 'dead']);

const isObject = (value: unknown): value is Fields => typeof value === 'object' && value !== null;
const isTexts = (value: unknown): boolean => Array.isArray(value) && value.every((one) => typeof one === 'string');
const isTextOrNull = (value: unknown): boolean => value === null || typeof value === 'string';

const isJob = (job: unknown, count: number): boolean =>
  isObject(job) &&
  typeof job.stage === 'string' &&
  STATES.has(job.state) &&
  typeof job.due === 'number' &&
  typeof job.attempts === 'number' &&
  [job.token, job.error, job.verdict].every(isTextOrNull) &&
  Array.isArray(job.needs) &&
  job.needs.every((need) => Number.isInteger(need) && need >= 0 && need < count);

type Parts = Readonly<Record<'jobs' | 'due' | 'deliveries' | 'keys' | 'at' | 'finished', unknown>>;

/** Of this program's format; its texts may be damaged still. */
export function hasShape({ jobs, due, deliveries, keys, at, finished }: Parts): boolean {
  if (!Array.isArray(jobs) || !jobs.every((job) => isJob(job, jobs.length))) return false;
  if (!isObject(due) || !isTexts(deliveries) || !isTexts(keys)) return false;
  return typeof at === 'number' && typeof finished === 'number';
}

const isRecipient = (one: unknown): boolean =>
  isObject(one) && typeof one.address === 'string' && typeof one.account === 'string';

/** @throws TypeError where it is no message */
export function asMessage(value: unknown): AcceptedMessage {
  const { envelope, client, ...facts } = isObject(value) ? value : ({} as Fields);
  const isMessage =
    isObject(envelope) &&
    typeof envelope.sender === 'string' &&
    Array.isArray(envelope.recipients) &&
    envelope.recipients.every(isRecipient) &&
    isObject(client) &&
    [facts.queueId, facts.blob, facts.headers, facts.messageId, facts.subject].every(
      (one) => typeof one === 'string',
    ) &&
    [facts.acceptedAt, facts.size].every((one) => typeof one === 'number') &&
    Array.isArray(facts.removed);
  if (!isMessage) throw new TypeError('what was accepted is no message');
  return value as unknown as AcceptedMessage;
}
