/**
 * One REST call: key and scope, parameters, idempotency, the action, and its answer as JSON. Errors become problem
 * details here and nowhere else.
 */

import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ServiceBroker } from 'moleculer';
import { ClientError } from '../../core/mail/errors.ts';
import type { ApiScope } from '../../core/ports/directory.ts';
import { contextOf } from '../context.ts';
import { errorFacts } from '../log.ts';
import type { RestAction } from './openapi.ts';
import { toProblem } from './problem.ts';

/** As moleculer-web hands it over. */
export interface ApiRequest extends IncomingMessage {
  $params: Record<string, unknown>;
}

const KEY_LENGTH_MAX = 200;

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
  const problem = toProblem(thrown);
  if (problem.status >= 500) {
    const { log, metrics } = contextOf(broker);
    log.error(errorFacts(thrown), 'request.failed');
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

/** Runs `work` once for each Idempotency-Key: later requests with the same key get the first answer. */
export async function once(
  broker: ServiceBroker,
  req: IncomingMessage,
  keyId: string,
  request: string,
  work: () => Promise<unknown>,
): Promise<unknown> {
  const given = req.headers['idempotency-key'];
  if (given === undefined) return work();
  if (typeof given !== 'string' || given.length === 0 || given.length > KEY_LENGTH_MAX)
    throw new ClientError('invalid', { what: 'Idempotency-Key' });
  const { stores, now } = contextOf(broker);
  const key = createHash('sha256').update(`${keyId}\0${given}`).digest('hex');
  const before = await stores.directory.once(key, createHash('sha256').update(request).digest('hex'), now());
  if (before === null)
    throw new ClientError('conflict', { what: 'Idempotency-Key', detail: 'the first request is at work' });
  if (before !== undefined) return before;
  try {
    const answer = await work();
    await stores.directory.finishOnce(key, answer);
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
      const keyId = await authorize(broker, req, action.api.scope);
      const work = (): Promise<unknown> => broker.call(name, req.$params);
      const answer =
        action.api.creates === true
          ? await once(broker, req, keyId, `${name} ${JSON.stringify(req.$params)}`, work)
          : await work();
      sendJson(res, action.api.creates === true ? 201 : 200, answer);
    } catch (error) {
      sendProblem(broker, res, error);
    }
  };
}
