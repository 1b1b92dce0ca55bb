/** The stores of one machine: SQLite and files in the data folder, which one process has for itself. */

import { chmod, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from '../core/config/load.ts';
import { EmbeddedBlobStore } from '../drivers/embedded/blob-store.ts';
import { DataLock } from '../drivers/embedded/data-lock.ts';
import { EmbeddedDirectory } from '../drivers/embedded/directory.ts';
import { EmbeddedLockStore } from '../drivers/embedded/lock-store.ts';
import { EmbeddedMailStore } from '../drivers/embedded/mail-store.ts';
import { EmbeddedModelStore } from '../drivers/embedded/model-store.ts';
import { EmbeddedQueue } from '../drivers/embedded/queue.ts';
import { EmbeddedSampleStore } from '../drivers/embedded/sample-store.ts';
import { EmbeddedSearchStore } from '../drivers/embedded/search-store.ts';
import { openAll } from './open-all.ts';
import { dnsResolver } from './resolver.ts';
import type { Stores } from './stores.ts';

/** What a backup of a mesh has in common with a data folder; opened where it lies. */
export async function openBackup(folder: string, now: () => number) {
  const parts = {
    directory: new EmbeddedDirectory({ folder, now }),
    blobs: new EmbeddedBlobStore({ folder, now }),
    queue: new EmbeddedQueue({ folder, now }),
    samples: new EmbeddedSampleStore({ folder }),
    models: new EmbeddedModelStore({ folder: join(folder, 'models') }),
  };
  const close = await openAll(Object.values(parts));
  return { ...parts, close };
}

export async function openEmbeddedStores(config: Config, now: () => number): Promise<Stores> {
  const folder = config.dataDir;
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await chmod(folder, 0o700);
  const lock = new DataLock(folder);
  const directory = new EmbeddedDirectory({ folder, now });
  const blobs = new EmbeddedBlobStore({ folder, now });
  const mail = new EmbeddedMailStore({ folder, shards: config.shards, now });
  const queue = new EmbeddedQueue({ folder, now });
  const search = new EmbeddedSearchStore({ folder });
  const samples = new EmbeddedSampleStore({ folder });
  const models = new EmbeddedModelStore({ folder: join(folder, 'models') });
  try {
    const closeAll = await openAll([directory, blobs, mail, queue, search, samples, models]);
    const close = async (): Promise<void> => {
      await closeAll();
      lock.release();
    };
    const locks = new EmbeddedLockStore({ now });
    const resolver = dnsResolver(config, now);
    return {
      mail,
      blobs,
      queue,
      search,
      samples,
      models,
      directory,
      locks,
      resolver,
      mesh: null,
      close,
    };
  } catch (error) {
    lock.release();
    throw error;
  }
}
