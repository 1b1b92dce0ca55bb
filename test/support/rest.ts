/** The REST API as its users call it: a bearer key, JSON in and out. */

import type { Server } from './server.ts';

export interface Answer {
  readonly status: number;
  readonly type: string;
  readonly headers: Headers;
  readonly body: Buffer;
  /** The body read as JSON. */
  json<T = Record<string, unknown>>(): T;
}

export interface RestRequest {
  readonly method?: string;
  readonly key?: string | undefined;
  readonly headers?: Readonly<Record<string, string>>;
  /** An object is sent as JSON, bytes as message/rfc822. */
  readonly body?: object | Uint8Array;
}

export async function rest(server: Server, path: string, request: RestRequest = {}): Promise<Answer> {
  const { method = 'GET', key, headers = {}, body } = request;
  const raw = body instanceof Uint8Array;
  const response = await fetch(`http://127.0.0.1:${server.ports.http}${path}`, {
    method,
    headers: {
      ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
      ...(body === undefined ? {} : { 'content-type': raw ? 'message/rfc822' : 'application/json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: raw ? new Uint8Array(body) : JSON.stringify(body) }),
  });
  const bytes = Buffer.from(await response.arrayBuffer());
  return {
    status: response.status,
    type: (response.headers.get('content-type') ?? '').split(';')[0]!,
    headers: response.headers,
    body: bytes,
    json: <T>() => JSON.parse(bytes.toString()) as T,
  };
}
