/**
 * Between node's HTTP server and the gateway: what HTTP asks of every server whatever the route is, and the limits of
 * connections. The gateway itself sees known paths with their own methods only.
 */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { sendJson } from './api-handler.ts';
import type { Problem } from './problem.ts';

const HEADER_BYTES_MAX = 16 * 1024;
const HEADERS_TIMEOUT_MS = 20_000;
/** A message of the largest size by a slow line takes so long. */
const REQUEST_TIMEOUT_MS = 5 * 60_000;
const CHECK_MS = 5_000;
/** Without a byte in either direction, which is also a client that does not read its answer. */
const IDLE_MS = 2 * 60_000;
const KEEP_ALIVE_MS = 5_000;
const CONNECTIONS_MAX = 500;

interface HttpOptions {
  readonly handle: (req: IncomingMessage, res: ServerResponse) => void;
  /** The methods that a path has; none when nothing is there. */
  readonly methodsOf: (path: string) => readonly string[];
}

export function httpServer(options: HttpOptions): Server {
  const server = createServer(
    {
      maxHeaderSize: HEADER_BYTES_MAX,
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      connectionsCheckingInterval: CHECK_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
    },
    (req, res) => answer(options, req, res),
  );
  server.maxConnections = CONNECTIONS_MAX;
  server.setTimeout(IDLE_MS);
  return server;
}

function answer({ handle, methodsOf }: HttpOptions, req: IncomingMessage, res: ServerResponse): void {
  res.setHeader('x-content-type-options', 'nosniff');
  // RFC 9110 §9.3.2: as GET; node leaves the body out, because it saw the request's own method.
  if (req.method === 'HEAD') req.method = 'GET';
  const methods = methodsOf((req.url ?? '/').split('?', 1)[0]!);
  if (methods.length === 0 || methods.includes(req.method!)) {
    handle(req, res);
    return;
  }
  res.setHeader('allow', [...methods, ...(methods.includes('GET') ? ['HEAD'] : []), 'OPTIONS'].join(', '));
  if (req.method === 'OPTIONS') res.writeHead(204).end();
  else sendJson(res, 405, NOT_ALLOWED, 'application/problem+json');
}

const NOT_ALLOWED: Problem = {
  type: 'urn:mailmesh:problem:method-not-allowed',
  title: 'The path has other methods',
  status: 405,
};
