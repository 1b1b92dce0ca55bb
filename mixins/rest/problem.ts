/** Errors as RFC 9457 problem details: one place turns what was thrown into a status and a JSON body. */

import { Errors } from 'moleculer';
import { asMailError, ClientError, type MailError, TemporaryError } from '../../core/mail/errors.ts';
import type { ReplyKey } from '../../core/mail/reply.ts';

export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail?: string;
  /** Parameters that are wrong, when that is the problem. */
  readonly errors?: readonly { readonly field: string; readonly detail: string }[];
  /** Facts of the error, for programs. */
  readonly [fact: string]: unknown;
}

const STATUS: Partial<Record<ReplyKey, number>> = {
  notFound: 404,
  mailboxUnknown: 404,
  mailboxExists: 409,
  conflict: 409,
  mailboxInUse: 409,
  forbidden: 403,
  authenticationFailed: 401,
  authenticationRequired: 401,
  authenticationDelayed: 429,
  messageTooBig: 413,
  overQuota: 507,
  diskFull: 507,
  limitReached: 409,
};

function statusOf(error: MailError): number {
  const known = STATUS[error.reply];
  if (known !== undefined) return known;
  if (error instanceof ClientError) return 400;
  return error instanceof TemporaryError ? 503 : 500;
}

const problem = (status: number, slug: string, title: string, more: Record<string, unknown> = {}): Problem => ({
  type: `urn:mailmesh:problem:${slug}`,
  title,
  status,
  ...more,
});

/** Facts for the log alone: they tell of the machine. */
const publicFacts = ({ file: _, ...facts }: MailError['facts']): MailError['facts'] => facts;

interface ValidationFailure {
  readonly field: string;
  readonly message: string;
}

export function toProblem(thrown: unknown): Problem {
  if (thrown instanceof Errors.ValidationError) {
    const rows = (Array.isArray(thrown.data) ? thrown.data : []) as readonly ValidationFailure[];
    const errors = rows.map((row) => ({ field: row.field, detail: row.message }));
    const detail = errors.map((row) => row.detail).join(' ');
    return problem(422, 'invalid-parameters', 'Parameters are not valid', { detail, errors });
  }
  if (
    thrown instanceof Errors.ServiceNotFoundError ||
    thrown instanceof Errors.ServiceNotAvailableError ||
    thrown instanceof Errors.RequestRejectedError
  )
    return problem(503, 'unavailable', 'No node does this just now', { detail: thrown.message });
  const { code, type } = thrown as { code?: unknown; type?: unknown };
  if (thrown instanceof Errors.RequestTimeoutError) return problem(504, 'timeout', 'The action took too long');
  if (thrown instanceof Errors.MoleculerError && typeof code === 'number' && code >= 400 && code < 500)
    return problem(
      code,
      String(type ?? 'request')
        .toLowerCase()
        .replace(/_/g, '-'),
      thrown.message,
    );
  const error = asMailError(thrown);
  const status = statusOf(error);
  // A bug's text is ours alone.
  if (status === 500) return problem(500, 'internal', 'Internal error');
  const what = typeof error.facts.what === 'string' ? `${error.facts.what}: ` : '';
  return problem(
    status,
    error.reply.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`),
    error.message,
    {
      detail: `${what}${error.message}`,
      ...publicFacts(error.facts),
    },
  );
}
