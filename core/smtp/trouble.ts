/** What went wrong on our side, as the reply that tells the client to come back (RFC 5321 §4.2.1: 4yz). */

import { Fault, MailError, TemporaryError } from '../mail/errors.ts';

const CAUSES_MAX = 8;
/** SQLITE_FULL. */
const SQLITE_FULL = 13;

/** Whether an error, or what caused it, says that there is no room. */
function isDiskFull(thrown: unknown): boolean {
  let cause: unknown = thrown;
  for (let i = 0; i < CAUSES_MAX && cause instanceof Error; i++) {
    const { code, errcode } = cause as Error & { code?: unknown; errcode?: unknown };
    if (code === 'ENOSPC' || code === 'EDQUOT' || errcode === SQLITE_FULL) return true;
    cause = cause.cause;
  }
  return false;
}

/** Errors that only a wrong program throws. */
const isBug = (thrown: unknown): boolean =>
  thrown instanceof TypeError || thrown instanceof RangeError || thrown instanceof ReferenceError;

/** What a store, the directory or a step threw, as one of the three kinds of failure. */
export function asTrouble(thrown: unknown): MailError {
  if (isDiskFull(thrown)) return new TemporaryError('diskFull', {}, thrown);
  if (thrown instanceof MailError) return thrown;
  if (isBug(thrown)) return new Fault((thrown as Error).message, {}, thrown);
  return new TemporaryError('storeUnavailable', {}, thrown);
}

/** For the log: the stack of the first cause, where it was thrown. */
export function stackOf(error: Error): string {
  let first: Error = error;
  for (let i = 0; i < CAUSES_MAX && first.cause instanceof Error; i++) first = first.cause;
  return first.stack ?? first.message;
}
