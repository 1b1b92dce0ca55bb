/**
 * What a node of the mesh asks before it says that it is ready: never while a command would fail. Taking mail in needs the
 * database alone, so an outage of NATS leaves a node ready that does that, or that writes mailboxes itself.
 */

import { needsMailboxes } from '../core/mesh/roles.ts';
import type { NodeContext } from './context.ts';

export function probes({ readiness, stores, mesh, services }: NodeContext): void {
  const { mesh: connection } = stores;
  if (connection === null) return;
  readiness.probe('store', async () => {
    await connection.ping();
    return true;
  });
  if (!needsMailboxes(services)) return;
  readiness.probe('mailboxes', () => mesh.nodesOf('mailbox').length > 0);
  if (!services.includes('mailbox')) readiness.probe('nats', () => mesh.isConnected);
}
