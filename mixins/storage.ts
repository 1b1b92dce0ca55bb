/**
 * The only place that chooses drivers. Each mode's drivers are loaded only when it is the mode: one machine pays nothing
 * for the clients of MongoDB and NATS.
 */

import type { Config } from '../core/config/load.ts';
import type { OpenOptions, Stores } from './stores.ts';

export type { Stores };

/** Rejects with DataInUse when another process has the data folder, and with one line where a server can't be used. */
export async function openStores(
  config: Config,
  now: () => number,
  { node = '', report = () => {}, peers = () => [] }: Partial<OpenOptions> = {},
): Promise<Stores> {
  if (config.mongoUrl === null || config.natsUrl === null) {
    const { openEmbeddedStores } = await import('./storage-embedded.ts');
    return openEmbeddedStores(config, now);
  }
  const { openClusterStores } = await import('./storage-cluster.ts');
  return openClusterStores(
    config,
    { mongoUrl: config.mongoUrl, natsUrl: config.natsUrl },
    { now, node, report, peers },
  );
}
