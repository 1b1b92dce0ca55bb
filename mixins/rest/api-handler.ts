/**
 * One REST call: key and scope, parameters, idempotency, the action, and its answer as JSON. Errors become problem
 * details here and nowhere else.
 */

import { createHash, createHmac } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ServiceBroker } from 'moleculer';
import { ClientError } from '../../core/mail/errors.ts';
import type { ApiScope } from '../../core/ports/directory.ts';
import { contextOf } from '../context.ts';
import { errorFacts } from '../log.ts';
import type { RestAction } from './openapi.ts';
import { toProblem } from './problem.ts';
import { readParameters } from './read-body.ts';

/** As moleculer-web hands it over. */
export interface ApiRequest extends IncomingMessage {
  $params: Record<string, unknown>;
}

const KEY_LENGTH_MAX = 200;
/** Kept instead of an answer that holds a secret. */
const GIVEN_ONCE = 'given once';
/** How a stream says that the other end went away, which is nobody's fault. */
const PEER_GONE: ReadonlySet<unknown> = new Set(['ECONNRESET', 'EPIPE', 'ERR_STREAM_PREMATURE_CLOSE']);

export function sendJson(res: ServerResponse, status: number, value: unknown, type = 'application/json'): void {
  if (res.headersSent) return void res.destroy();
  const body = Buffer.from(JSON.stringify(value));
  res.writeHead(status, {
    'content-type': `${type}; charset=utf-8`,
    'content-length': body.length,
    'cache-control': 'no-store',
  });
  res.end(body);
}

export function sendProblem(broker: ServiceBroker, res: ServerResponse, thrown: unknown): void {
  if (PEER_GONE.has((thrown as NodeJS.ErrnoException | null)?.code)) return void res.destroy();
  const problem = toProblem(thrown);
  if (problem.status >= 500) {
    const { log, metrics } = contextOf(broker);
    log.error({ request: res.getHeader('x-request-id'), ...errorFacts(thrown) }, 'request.failed');
    if (problem.status === 500) metrics.faults.inc({ room: 'rest' });
  }
  if (problem.status === 401) res.setHeader('www-authenticate', 'Bearer realm="mailmesh"');
  sendJson(res, problem.status, problem, 'application/problem+json');
}

/** Rejects with authenticationRequired, authenticationFailed or forbidden. Keys are compared by the hash of a random secret. */
export async function authorize(broker: ServiceBroker, req: IncomingMessage, scope: ApiScope): Promise<string> {
  const match = /^Bearer +([\x21-\x7e]{1,200})$/i.exec(req.headers.authorization ?? '');
  if (match === null) throw new ClientError('authenticationRequired');
  const hash = createHash('sha256').update(match[1]!).digest('hex');
  const key = await contextOf(broker).stores.directory.apiKeyByHash(hash);
  if (key === undefined || key.revoked) throw new ClientError('authenticationFailed');
  if (scope === 'admin' && key.scope !== 'admin') throw new ClientError('forbidden', { scope: key.scope });
  return key.id;
}

/** What repeated requests have in common: made of the API key and its Idempotency-Key. */
export function repetitionKey(req: IncomingMessage, keyId: string): string | undefined {
  const given = req.headers['idempotency-key'];
  if (given === undefined) return undefined;
  if (typeof given !== 'string' || given.length === 0 || given.length > KEY_LENGTH_MAX)
    throw new ClientError('invalid', { what: 'Idempotency-Key' });
  return createHash('sha256').update(`${keyId}\0${given}`).digest('hex');
}

interface OnceOptions {
  /** Says what is asked: another request under the same key is a conflict. */
  readonly request: string;
  readonly secret: boolean;
}

/**
 * Runs `work` once for each Idempotency-Key: later requests with the same key get the first answer. An answer that holds
 * a secret is not kept, so it is given once only.
 */
export async function once(
  broker: ServiceBroker,
  req: IncomingMessage,
  keyId: string,
  { request, secret }: OnceOptions,
  work: () => Promise<unknown>,
): Promise<unknown> {
  const key = repetitionKey(req, keyId);
  if (key === undefined) return work();
  const { stores, now } = contextOf(broker);
  // The request may hold a password: what is kept of it tells nothing to those who do not know the client's key.
  const digest = createHmac('sha256', String(req.headers['idempotency-key'])).update(request).digest('hex');
  const before = await stores.directory.once(key, digest, now());
  if (before === null)
    throw new ClientError('conflict', { what: 'Idempotency-Key', detail: 'the first request is at work' });
  if (before === GIVEN_ONCE)
    throw new ClientError('conflict', { what: 'Idempotency-Key', detail: 'its answer holds a secret and was given' });
  if (before !== undefined) return before;
  try {
    const answer = await work();
    await stores.directory.finishOnce(key, secret ? GIVEN_ONCE : answer);
    return answer;
  } catch (error) {
    // A failed attempt made nothing: the key is free for the next one.
    await stores.directory.finishOnce(key, undefined);
    throw error;
  }
}

export function apiHandler(broker: ServiceBroker, { name, action }: RestAction) {
  return async (req: ApiRequest, res: ServerResponse): Promise<void> => {
    try {
      const { scope, creates = false, secret = false, long = false } = action.api;
      const keyId = await authorize(broker, req, scope);
      // The path's parameters win. Names like __proto__ stay plain names here, and are refused as unknown ones.
      const params = req.method === 'GET' ? req.$params : { ...(await readParameters(req)), ...req.$params };
      if (long) req.setTimeout(0);
      const work = (): Promise<unknown> => broker.call(name, params, long ? { timeout: 0 } : {});
      const answer = creates
        ? await once(broker, req, keyId, { request: `${name} ${JSON.stringify(params)}`, secret }, work)
        : await work();
      sendJson(res, creates ? 201 : 200, answer);
    } catch (error) {
      sendProblem(broker, res, error);
    }
  };
}
