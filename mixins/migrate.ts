/**
 * The format of what is stored. Stores bring their own tables up to date when they are opened; what this does on demand is
 * a change that nodes of the version before could not read, so every node must have this version first.
 */

import type { ServiceBroker } from 'moleculer';
import { ClientError } from '../core/mail/errors.ts';
import { contextOf } from './context.ts';
import { call, type MaintenanceReport } from './contracts.ts';

/** Of documents, jobs and files, as this version writes them. */
const FORMAT = 1;

/** Rejects with ClientError conflict while a node of another version is there. */
export async function migrate(broker: ServiceBroker): Promise<MaintenanceReport> {
  const { version, mesh } = contextOf(broker);
  const ids = mesh.everyNodeOf('node');
  for (const nodeId of ids) {
    const status = await call(broker, 'node.status', {}, { nodeId });
    if (status.version !== version)
      throw new ClientError('conflict', {
        detail: `node ${nodeId} runs version ${status.version}, this is ${version}`,
      });
  }
  return { format: FORMAT, version, nodes: ids.length, changed: 'nothing: this is the newest format' };
}
