/** The cluster's blob store keeps the port's promises, with many clients at once, through kills of clients and server. */

import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BlobStore } from '../../core/ports/blob-store.ts';
import { ClusterBlobStore } from '../../drivers/cluster/blob-store.ts';
import { Mongo } from '../../drivers/cluster/mongo.ts';
import { EmbeddedBlobStore } from '../../drivers/embedded/blob-store.ts';
import { blobStoreContract, PACK_BYTES } from '../contract/blob-store.contract.ts';

const NOW = 1_790_000_000_000;
const URL = process.env.MONGO_URL ?? 'mongodb://127.0.0.1:47017';
let databases = 0;

blobStoreContract('cluster', async () => {
  const root = fs.mkdtempSync(join(tmpdir(), 'mailmesh-blobs-'));
  const clock = { now: NOW };
  const url = `${URL}/blobs-${process.pid}-${databases++}`;
  const opened: BlobStore[] = [];
  const connections: Mongo[] = [];
  const folderStore = (folder: string) =>
    new EmbeddedBlobStore({ folder, now: () => clock.now, packSizeBytesMax: PACK_BYTES });
  const start = async (): Promise<BlobStore> => {
    const mongo = new Mongo({ url });
    await mongo.open();
    connections.push(mongo);
    const store = new ClusterBlobStore({ mongo, now: () => clock.now, archive: folderStore });
    await store.open();
    opened.push(store);
    return store;
  };
  const store = await start();
  let copies = 0;
  return {
    store,
    clock,
    reopen: async () => {
      await opened.shift()!.close();
      return start();
    },
    afterKill: start,
    fromBackup: async () => {
      const folder = join(root, `backup-${copies++}`);
      await store.backup(folder);
      const copy = folderStore(folder);
      await copy.open();
      opened.push(copy);
      return copy;
    },
    dispose: async () => {
      for (const one of opened) await one.close();
      await connections[0]!.db.dropDatabase();
      for (const one of connections) await one.close();
      fs.rmSync(root, { recursive: true });
    },
  };
});
