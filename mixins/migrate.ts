/**
 * The format of what is stored. Stores of one machine bring their databases up to date when they are opened. A mesh's
 * documents are brought to a newer form on demand, and nodes write that form once every one of them can read it.
 */

import type { ServiceBroker } from 'moleculer';
import { ClientError } from '../core/mail/errors.ts';
import { contextOf } from './context.ts';
import { call, type MaintenanceReport } from './contracts.ts';

const TELL_MS = 5_000;

/**
 * Two at once do no harm (drivers/cluster/migration.ts), and one that was killed is gone on with at once: there is no lock.
 * Rejects with ClientError conflict while a node of another version is there.
 */
export async function migrate(broker: ServiceBroker): Promise<MaintenanceReport> {
  const { version, mesh, stores, log } = contextOf(broker);
  const ids = mesh.everyNodeOf('node');
  for (const nodeId of ids) {
    const status = await call(broker, 'node.status', {}, { nodeId }).catch(() => {
      throw new ClientError('conflict', {
        detail: `node ${nodeId} does not answer: try again when it does, or is gone`,
      });
    });
    if (status.version !== version)
      throw new ClientError('conflict', {
        detail: `node ${nodeId} runs version ${status.version}, this is ${version}`,
      });
  }
  const about = { version, nodes: ids.length };
  if (stores.mesh === null) return { ...about, changed: 'nothing: this is the newest format' };
  const { migrate: run } = stores.mesh;
  let toldAt = Number.NEGATIVE_INFINITY;
  const told = (progress: Readonly<Record<string, number | string>>): void => {
    if (performance.now() - toldAt < TELL_MS) return;
    toldAt = performance.now();
    log.info(progress, 'migrate.progress');
  };
  const { format, looked, changed, resumed } = await run(told);
  if (looked === 0) return { format, ...about, changed: 'nothing: this is the newest format' };
  log.warn({ format, looked, changed }, 'migrate.done');
  return { format, ...about, documents: looked, changed, resumed: resumed ? 'yes' : 'no' };
}
