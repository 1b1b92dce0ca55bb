/**
 * The three kinds of failure. A ClientError is the peer's doing (5xx, NO, BAD), a TemporaryError the circumstances'
 * (4xx, NO [UNAVAILABLE]), a Fault is a bug of ours: it ends that connection, is logged with its stack and counted.
 * One place per protocol turns them into replies; the public text is the reply table's, `facts` go to the log.
 */

import { REPLIES, type ReplyKey } from './reply.ts';

export type Facts = Readonly<Record<string, string | number | boolean | null | undefined>>;

export class MailError extends Error {
  readonly reply: ReplyKey;
  readonly facts: Facts;

  constructor(reply: ReplyKey, facts: Facts = {}, cause?: unknown) {
    super(REPLIES[reply].text, cause === undefined ? undefined : { cause });
    this.name = new.target.name;
    this.reply = reply;
    this.facts = facts;
  }
}

export class ClientError extends MailError {}
export class TemporaryError extends MailError {}
export class Fault extends MailError {
  constructor(message: string, facts: Facts = {}, cause?: unknown) {
    super('fault', facts, cause);
    this.message = message;
  }
}

/** A deposed owner's write: another owner holds the account's lease with a higher epoch. Nothing was changed. */
export class Fenced extends TemporaryError {
  constructor(facts: Facts = {}) {
    super('storeUnavailable', facts);
    this.message = 'Fenced: the account has a newer owner';
  }
}

/** Anything thrown, as a MailError: what is not one already is a Fault with the original as its cause. */
export function asMailError(thrown: unknown): MailError {
  if (thrown instanceof MailError) return thrown;
  return new Fault(thrown instanceof Error ? thrown.message : String(thrown), {}, thrown);
}

/** Closes a `switch` over a union: does not compile while a case is missing. */
export function assertNever(value: never): never {
  throw new Fault(`unexpected value: ${JSON.stringify(value)}`);
}
