/**
 * The stores of a mesh: MongoDB holds everything, NATS carries the work and what nodes tell each other. The data folder
 * holds the certificate and the control socket only, so several nodes may run beside each other without a lock.
 */

import { mkdir } from 'node:fs/promises';
import type { Config } from '../core/config/load.ts';
import { ClusterLockStore } from '../drivers/cluster/lock-store.ts';
import { NatsMessageBus } from '../drivers/cluster/message-bus.ts';
import { Mongo } from '../drivers/cluster/mongo.ts';
import { Nats } from '../drivers/cluster/nats.ts';
import type { Report, Stores } from './storage.ts';

export async function openClusterStores(
  config: Config,
  _urls: { readonly mongoUrl: string; readonly natsUrl: string },
  _now: () => number,
  _report: Report,
): Promise<Stores> {
  await mkdir(config.dataDir, { recursive: true, mode: 0o700 });
  void [ClusterLockStore, NatsMessageBus, Mongo, Nats];
  throw new Error('not yet');
}
