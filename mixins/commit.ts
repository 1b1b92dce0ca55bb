/**
 * The way to the mailbox actor in charge of an account. In a mesh it may change hands, stop or die while a commit is on
 * its way: then the same commit is asked for again, of whoever is in charge by then, until its deadline. Its name makes
 * that safe: what took effect before its answer was lost is not done again (core/ports/mail-store.ts).
 */

import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Errors, type ServiceBroker } from 'moleculer';
import { asMailError, Fenced, TemporaryError } from '../core/mail/errors.ts';
import { base32 } from '../core/mail/ids.ts';
import type { Op } from '../core/ports/mail-store.ts';
import { contextOf } from './context.ts';
import { call, type Params, type Result } from './contracts.ts';
import { unpackCommit } from './packed-commit.ts';

/** One node's answer is waited for so long: a message that NATS lost is found out by that. */
const ATTEMPT_MS = 6_000;
/** Longer than a dead node is noticed and its leases run out. */
const DEADLINE_MS = 20_000;
const PAUSE_MS = 15;
const PAUSE_MS_MAX = 300;

/** More for each message that a commit names: those of a whole mailbox take their time. */
const MESSAGE_MS = 1;
/** More where it says all that there are. */
const ALL_MS = 10_000;

const named = (ops: readonly Op[]): number =>
  ops.reduce((count, op) => count + ('uids' in op ? (op.uids?.length ?? 0) : 0), 0);
const saysAll = (op: Op): boolean => op.t === 'deleteMailbox' || (op.t === 'expunge' && op.uids === null);

/** Asked for again it has the same effect and the same answer; an append that has a key of its own is known by that. */
const isRepeatable = (op: Op): boolean =>
  (op.t === 'store' && op.unchangedSince === undefined) ||
  (op.t === 'append' && op.dedupe !== undefined) ||
  op.t === 'subscribe' ||
  op.t === 'outbox' ||
  op.t === 'claimRecent';

/** It may go another way in a moment: nobody is in charge, the wrong one was asked, or the answer was lost. */
function isPassing(error: unknown): boolean {
  if (error instanceof Fenced) return true;
  if (error instanceof TemporaryError) return error.facts.passing === true;
  return error instanceof Errors.MoleculerRetryableError && !(error instanceof Errors.MoleculerServerError);
}

export async function commit(
  broker: ServiceBroker,
  params: Omit<Params<'mailbox.commit'>, 'request' | 'packed'>,
): Promise<Result<'mailbox.commit'>> {
  if (!contextOf(broker).mesh.isShared) return call(broker, 'mailbox.commit', params);
  const request = params.ops.every(isRepeatable) ? {} : { request: base32(randomBytes(20)) };
  const asked = { ...params, ...request, packed: true };
  const workMs = named(params.ops) * MESSAGE_MS;
  const deadline = performance.now() + DEADLINE_MS + workMs + (params.ops.some(saysAll) ? ALL_MS : 0);
  for (let pause = PAUSE_MS; ; pause = Math.min(PAUSE_MS_MAX, pause * 2)) {
    const timeoutMs = Math.max(1, Math.min(ATTEMPT_MS + workMs, Math.ceil(deadline - performance.now())));
    try {
      return unpackCommit(await call(broker, 'mailbox.commit', asked, { timeoutMs }));
    } catch (error) {
      if (!isPassing(error)) throw error;
      if (performance.now() + pause >= deadline) throw unavailable(error);
      await sleep(pause * (0.5 + Math.random()));
    }
  }
}

/** Nobody in the mesh answered: the circumstances, not a bug of ours. */
function unavailable(error: unknown): TemporaryError {
  const { message, facts } = asMailError(error);
  return new TemporaryError('storeUnavailable', { detail: facts.detail ?? message }, error);
}
