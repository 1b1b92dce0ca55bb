/** Opens a node's HTTP listener and tells where it is; closes servers of a node that stops. */

import { once } from 'node:events';
import type { Server } from 'node:http';
import type { NodeContext } from '../context.ts';

/** How long a request may be under way when the server stops. */
const CLOSE_MS = 5_000;

/** Rejects with the system's error (EADDRINUSE, EACCES), which carries the listener's name and port. */
export async function listenHttp({ config, readiness }: NodeContext, server: Server, port: number): Promise<void> {
  const host = config.bind;
  readiness.expect('listener http');
  server.listen({ host, port });
  try {
    await once(server, 'listening');
  } catch (error) {
    throw Object.assign(error as Error, { listener: 'http', port });
  }
  const bound = server.address();
  readiness.listening({
    name: 'http',
    host,
    port: bound !== null && typeof bound === 'object' ? bound.port : port,
    tls: false,
  });
}

/** Probes are answered, with 503, as long as mail connections end. */
export async function closeServers({ readiness }: NodeContext, servers: readonly Server[]): Promise<void> {
  readiness.drained('http');
  await readiness.quiet();
  await Promise.all(
    servers.map(async (server) => {
      const closed = once(server, 'close');
      server.close();
      server.closeIdleConnections();
      const timer = setTimeout(() => server.closeAllConnections(), CLOSE_MS);
      await closed;
      clearTimeout(timer);
    }),
  );
}
