/** The nodes of the mesh: who runs what, in which version, how busy, and whose accounts it writes. */

import type { ServiceBroker, ServiceSchema } from 'moleculer';
import { TemporaryError } from '../core/mail/errors.ts';
import { api, PAGE, pageOf } from '../mixins/api.ts';
import { call, type NodeStatus } from '../mixins/contracts.ts';

/** A node that takes longer is told of as unreachable. One whose database is away needs two seconds to find that out. */
const ASK_MS = 3_500;

async function statusOf(broker: ServiceBroker, nodeId: string): Promise<NodeStatus> {
  try {
    return await call(broker, 'node.status', {}, { timeoutMs: ASK_MS, nodeId });
  } catch {
    return {
      ...{ id: nodeId, host: '', version: '', services: [], state: 'unreachable', waitingFor: [], upMs: 0 },
      ...{ cpu: null, memoryBytes: null, connections: null, leases: null, model: null, format: null, trouble: null },
    };
  }
}

export const service: ServiceSchema = {
  name: 'nodes',
  actions: {
    list: api(
      'nodes.list',
      { rest: 'GET /v1/nodes', scope: 'read', summary: 'Nodes of the mesh by name', answer: 'Node', page: true },
      PAGE,
      async (params, { mesh, stores }, ctx) => {
        const ids = [...mesh.everyNodeOf('node')].sort();
        const detail = stores.mesh?.trouble() ?? null;
        // Asked by a command that is no node: who cannot look must not say that there are none.
        if (ids.length === 0 && detail !== null) throw new TemporaryError('storeUnavailable', { detail });
        const page = pageOf(ids, (id) => id, params);
        return { items: await Promise.all(page.items.map((id) => statusOf(ctx.broker, id))), cursor: page.cursor };
      },
    ),
  },
};
