/**
 * One JSON line per event on standard error, each with the id of its message, session or request. Nothing secret is
 * ever passed to it: bodies, passwords and tokens have no name here.
 */

import pino, { type Logger } from 'pino';
import type { Config } from '../core/config/load.ts';
import { asMailError, Fault } from '../core/mail/errors.ts';

export const createLog = (config: Config): Logger =>
  pino(
    { level: config.logLevel, base: null, timestamp: pino.stdTimeFunctions.isoTime, messageKey: 'event' },
    pino.destination({ dest: 2, sync: false, minLength: 4096, periodicFlush: 250 }),
  );

/** What a log line says about an error: kind, text and facts; the stack only for bugs of ours. */
export function errorFacts(thrown: unknown): Record<string, unknown> {
  const error = asMailError(thrown);
  const cause = error.cause instanceof Error ? error.cause.message : undefined;
  return {
    error: error.name,
    detail: error.message,
    ...error.facts,
    ...(cause === undefined ? {} : { cause }),
    ...(error instanceof Fault ? { stack: (error.cause as Error | undefined)?.stack ?? error.stack } : {}),
  };
}
