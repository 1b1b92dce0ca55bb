/**
 * One JSON line per event on standard error, each with the id of its message, session or request. Nothing secret is
 * ever passed to it: bodies, passwords and tokens have no name here.
 */

import pino, { type DestinationStream, type Logger } from 'pino';
import type { Config } from '../core/config/load.ts';
import { asMailError, Fault } from '../core/mail/errors.ts';

/** Lines are gathered for so long before they are written together. */
const GATHER_MS = 250;

export const createLog = (config: Config): Logger =>
  pino(
    { level: config.logLevel, base: null, timestamp: pino.stdTimeFunctions.isoTime, messageKey: 'event' },
    standardError(),
  );

/** Its timer runs only behind a line: the library's own would wake a process at rest four times a second. */
function standardError(): DestinationStream & Pick<ReturnType<typeof pino.destination>, 'flush'> {
  const stream = pino.destination({ dest: 2, sync: false, minLength: 4096 });
  let timer: NodeJS.Timeout | undefined;
  return {
    write(line) {
      stream.write(line);
      if (timer !== undefined) return;
      timer = setTimeout(() => {
        timer = undefined;
        stream.flush();
      }, GATHER_MS).unref();
    },
    flush: (done) => stream.flush(done),
  };
}

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
