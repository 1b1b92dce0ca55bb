/**
 * The only place that chooses drivers. Opens all stores of a node, in the order in which they refer to each other, and
 * closes them the other way round.
 */

import { chmod, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from '../core/config/load.ts';
import type { BlobStore } from '../core/ports/blob-store.ts';
import type { Directory } from '../core/ports/directory.ts';
import type { MailStore } from '../core/ports/mail-store.ts';
import type { ModelStore } from '../core/ports/model-store.ts';
import type { Queue } from '../core/ports/queue.ts';
import type { Resolver } from '../core/ports/resolver.ts';
import type { SampleStore } from '../core/ports/sample-store.ts';
import type { SearchStore } from '../core/ports/search-store.ts';
import { EmbeddedBlobStore } from '../drivers/embedded/blob-store.ts';
import { DataLock } from '../drivers/embedded/data-lock.ts';
import { EmbeddedDirectory } from '../drivers/embedded/directory.ts';
import { EmbeddedMailStore } from '../drivers/embedded/mail-store.ts';
import { EmbeddedModelStore } from '../drivers/embedded/model-store.ts';
import { EmbeddedQueue } from '../drivers/embedded/queue.ts';
import { EmbeddedSampleStore } from '../drivers/embedded/sample-store.ts';
import { EmbeddedSearchStore } from '../drivers/embedded/search-store.ts';
import { DnsResolver } from '../drivers/net/resolver.ts';

export interface Stores {
  readonly mail: MailStore;
  readonly blobs: BlobStore;
  readonly queue: Queue;
  readonly search: SearchStore;
  readonly samples: SampleStore;
  readonly models: ModelStore;
  readonly directory: Directory;
  readonly resolver: Resolver;
  close(): Promise<void>;
}

/** Rejects with DataInUse when another process has the data folder. */
export async function openStores(config: Config, now: () => number): Promise<Stores> {
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
  const all = [directory, blobs, mail, queue, search, samples, models];
  // Each is waited for, also when another one fails: whatever opened is closed.
  const opened = await Promise.allSettled(all.map((store) => store.open()));
  const open = all.filter((_, i) => opened[i]!.status === 'fulfilled');
  const close = async (): Promise<void> => {
    for (const store of open.reverse()) await store.close();
    lock.release();
  };
  const failed = opened.find((result) => result.status === 'rejected');
  if (failed !== undefined) {
    await close();
    throw failed.reason;
  }
  const servers = config.resolverServers.split(',').filter((server) => server !== '');
  const resolver = new DnsResolver({ timeoutMs: config.resolverTimeoutMs, servers, now });
  return { mail, blobs, queue, search, samples, models, directory, resolver, close };
}
