/** What a command tells in one line, without a stack; anything else is a fault of ours and is shown whole. */

import { ConfigError } from '../core/config/load.ts';
import { MailError } from '../core/mail/errors.ts';

/** It can't be done: exit code 1. */
export class CommandError extends Error {}
/** It was asked for wrongly: exit code 2. */
export class UsageError extends Error {}

const SYSTEM_CODES = new Set([
  ...['EACCES', 'EADDRINUSE', 'ECONNREFUSED', 'ECONNRESET', 'EEXIST', 'EISDIR', 'ENAMETOOLONG', 'ENOENT', 'ENOSPC'],
  ...['ENOTDIR', 'ENOTFOUND', 'EPERM', 'EPIPE', 'EROFS', 'ETIMEDOUT', 'DATA_IN_USE'],
  ...['DATABASE_UNUSABLE', 'NATS_UNUSABLE'],
]);

const NO_NODE = new Set([503, 504]);

function describeMailError(error: MailError): string {
  const { stack: _, detail, what, ...facts } = error.facts;
  const words = Object.entries(facts).map(([name, value]) => `${name} ${value}`);
  // As a server says it (mixins/rest/problem.ts): the detail, where there is one, tells more than the reply's own text.
  return `${detail || `${what === undefined ? '' : `${what}: `}${error.message}`}${words.length === 0 ? '' : ` (${words.join(', ')})`}`;
}

/** One line (for options: one for each problem) for what went wrong, or undefined when its stack is wanted. */
export function oneLine(error: unknown): string | undefined {
  if (error instanceof CommandError || error instanceof UsageError || error instanceof ConfigError)
    return error.message;
  if (error instanceof MailError) return error.reply === 'fault' ? undefined : describeMailError(error);
  if (!(error instanceof Error)) return undefined;
  const { code } = error as NodeJS.ErrnoException;
  // A refused action call carries an HTTP status as its code; so does one whose node is gone, or does not answer.
  if (typeof code === 'number') return (code >= 400 && code < 500) || NO_NODE.has(code) ? error.message : undefined;
  return code !== undefined && SYSTEM_CODES.has(code) ? error.message : undefined;
}
