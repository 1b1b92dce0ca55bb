/** The cluster's mail store keeps the port's promises. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ClusterMailStore } from '../../drivers/cluster/mail-store.ts';
import { Mongo } from '../../drivers/cluster/mongo.ts';
import { mailStoreContract } from '../contract/mail-store.contract.ts';
import { START } from '../contract/mail-store-fixtures.ts';

const url = process.env.MONGO_URL!;
/** What the stand-in for a MongoDB does in a few seconds. */
const TOMBSTONES_KEPT = 2000;
let made = 0;
const database = () => `${url}/mail-${process.pid}-${++made}`;

mailStoreContract('cluster', async () => {
  const clock = { now: START };
  const opened: { mongo: Mongo; store: ClusterMailStore }[] = [];
  const start = async (url: string): Promise<ClusterMailStore> => {
    const mongo = new Mongo({ url });
    await mongo.open();
    const store = new ClusterMailStore({ mongo, now: () => clock.now, tombstonesKept: TOMBSTONES_KEPT });
    await store.open();
    opened.push({ mongo, store });
    return store;
  };
  const place = database();
  return {
    store: await start(place),
    clock,
    large: 6000,
    tombstonesKept: TOMBSTONES_KEPT,
    reopen: () => start(place),
    openBackup: async (folder) => {
      const store = await start(database());
      await store.restore(folder);
      return store;
    },
    close: async () => {
      for (const { store } of opened) await store.close();
      for (const { mongo } of opened) {
        await mongo.db.dropDatabase();
        await mongo.close();
      }
    },
  };
});
