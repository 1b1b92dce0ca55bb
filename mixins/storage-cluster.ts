/**
 * The stores of a mesh: MongoDB holds everything, NATS carries the work and what nodes tell each other. The data folder
 * holds the certificate and the control socket only, so several nodes may run on one machine, each with its own.
 */

import { chmod, mkdir } from 'node:fs/promises';
import type { Config } from '../core/config/load.ts';
import { sweepShare, sweepSlowdown } from '../core/mesh/sweep.ts';
import { ClusterBlobStore } from '../drivers/cluster/blob-store.ts';
import { ClusterDirectory } from '../drivers/cluster/directory.ts';
import { ClusterLockStore } from '../drivers/cluster/lock-store.ts';
import { ClusterMailStore } from '../drivers/cluster/mail-store.ts';
import { NatsMessageBus } from '../drivers/cluster/message-bus.ts';
import { runMigrations, STEPS } from '../drivers/cluster/migration.ts';
import { ClusterModelStore } from '../drivers/cluster/model-store.ts';
import { Mongo } from '../drivers/cluster/mongo.ts';
import { Nats } from '../drivers/cluster/nats.ts';
import { ClusterQueue } from '../drivers/cluster/queue.ts';
import { ClusterSampleStore } from '../drivers/cluster/sample-store.ts';
import { ClusterSearchStore } from '../drivers/cluster/search-store.ts';
import { EmbeddedBlobStore } from '../drivers/embedded/blob-store.ts';
import { EmbeddedDirectory } from '../drivers/embedded/directory.ts';
import { EmbeddedQueue } from '../drivers/embedded/queue.ts';
import { EmbeddedSampleStore } from '../drivers/embedded/sample-store.ts';
import { openAll } from './open-all.ts';
import { dnsResolver } from './resolver.ts';
import type { OpenOptions, Stores } from './stores.ts';

/** A database that takes longer does not answer. */
const PING_MS = 2_000;

export async function openClusterStores(
  config: Config,
  urls: { readonly mongoUrl: string; readonly natsUrl: string },
  { now, node, report, peers }: OpenOptions,
): Promise<Stores> {
  await mkdir(config.dataDir, { recursive: true, mode: 0o700 });
  await chmod(config.dataDir, 0o700);
  const mongo = new Mongo({ url: urls.mongoUrl });
  const nats = new Nats({ url: urls.natsUrl, name: node, report });
  // The database first: it names the mesh, and tells whether it is one of ours.
  const closeMongo = await openAll([mongo]);
  try {
    for (const detail of mongo.warnings) report('mongo.warning', { detail });
    const closeNats = await openAll([nats]);
    try {
      const parts = partsOf(mongo, nats, { now, node, report, peers });
      const { directory, blobs, mail, queue, search, samples, models } = parts;
      const closeParts = await openAll([directory, blobs, mail, queue, search, samples, models]);
      const database = new DatabaseWatch(mongo, report);
      const failed = (error: unknown): void => report('message.failed', { detail: (error as Error).message });
      return {
        ...parts,
        locks: new ClusterLockStore({ mongo }),
        resolver: dnsResolver(config, now),
        mesh: {
          bus: new NatsMessageBus({ nats, failed }),
          name: mongo.cluster,
          ping: () => database.ping(),
          hasTwin: () => queue.hasTwin(),
          format: () => mongo.record.format,
          trouble: () => database.trouble ?? queue.trouble,
          migrate: (told) => runMigrations({ mongo, steps: STEPS, told: (progress) => told({ ...progress }) }),
          restoreMail: (folder) => mail.restore(folder),
          isHalfRestored: () => mongo.record.isHalfRestored(),
          setHalfRestored: (is) => mongo.record.setHalfRestored(is),
        },
        close: async () => {
          await closeParts();
          await closeNats();
          await closeMongo();
        },
      };
    } catch (error) {
      await closeNats();
      throw error;
    }
  } catch (error) {
    await closeMongo();
    throw error;
  }
}

/** Backups are written as the folder of one machine, by its own drivers: either mode can take them up. */
function partsOf(mongo: Mongo, nats: Nats, { now, node, report, peers }: OpenOptions) {
  return {
    directory: new ClusterDirectory({
      mongo,
      now,
      node,
      archive: (folder) => new EmbeddedDirectory({ folder, now }),
    }),
    blobs: new ClusterBlobStore({ mongo, now, archive: (folder) => new EmbeddedBlobStore({ folder, now }) }),
    mail: new ClusterMailStore({ mongo }),
    queue: new ClusterQueue({
      mongo,
      nats,
      now,
      node,
      report,
      prefix: `mailmesh-${mongo.cluster}`,
      // Stages are named like the services that run them.
      sweep: {
        slowdown: (stage) => sweepSlowdown(peers(stage).length),
        share: (stage, wider) => sweepShare(node, peers(stage), wider),
      },
      archive: (folder) => new EmbeddedQueue({ folder, now }),
    }),
    search: new ClusterSearchStore({
      mongo,
      failed: (error) => report('search.merge-failed', { detail: (error as Error).message }),
    }),
    samples: new ClusterSampleStore({ mongo, archive: (folder) => new EmbeddedSampleStore({ folder }) }),
    models: new ClusterModelStore({ mongo, now }),
  };
}

/** Whether the database answers; told when it begins not to, with the reason, and when it does again. */
class DatabaseWatch {
  readonly #mongo: Mongo;
  readonly #report: OpenOptions['report'];
  #trouble: string | null = null;

  constructor(mongo: Mongo, report: OpenOptions['report']) {
    this.#mongo = mongo;
    this.#report = report;
  }

  /** One line for the operator, or null; as `ping` found it last. */
  get trouble(): string | null {
    return this.#trouble;
  }

  async ping(): Promise<void> {
    try {
      await ping(this.#mongo);
    } catch (error) {
      const detail = this.#mongo.record.trouble ?? this.#mongo.why(error);
      // What the client says of one outage changes from moment to moment.
      if (this.#trouble === null) this.#report('mongo.trouble', { detail });
      this.#trouble = detail;
      throw error;
    }
    if (this.#trouble === null) return;
    this.#trouble = null;
    this.#report('mongo.connected', {});
  }
}

async function ping(mongo: Mongo): Promise<void> {
  if (mongo.record.trouble !== null) throw new Error(mongo.record.trouble);
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('the database does not answer')), PING_MS);
  });
  try {
    await Promise.race([mongo.now(), late]);
  } finally {
    clearTimeout(timer);
  }
}
