/** The cluster's mail store against a stand-in in memory: the port's promises and the model, without a server. */

import { test } from 'node:test';
import { ClusterMailStore } from '../../drivers/cluster/mail-store.ts';
import { mailStoreContract } from '../contract/mail-store.contract.ts';
import { START } from '../contract/mail-store-fixtures.ts';
import { equalsModel } from '../property/mail-store-property.ts';
import { MemoryMongo } from '../support/memory-mongo.ts';

const TOMBSTONES_KEPT = 2000;

mailStoreContract('cluster in memory', async () => {
  const clock = { now: START };
  const start = async (mongo = MemoryMongo.create()): Promise<ClusterMailStore> => {
    const store = new ClusterMailStore({ mongo, now: () => clock.now, tombstonesKept: TOMBSTONES_KEPT });
    await store.open();
    return store;
  };
  const mongo = MemoryMongo.create();
  return {
    ...{ store: await start(mongo), clock, large: 6000, tombstonesKept: TOMBSTONES_KEPT },
    reopen: () => start(mongo),
    openBackup: async (folder) => {
      const store = await start();
      await store.restore(folder);
      return store;
    },
    close: async () => {},
  };
});

test('any sequence of operations shows what the model shows', async () => {
  const mongo = MemoryMongo.create();
  const open = async () => {
    const store = new ClusterMailStore({ mongo, now: () => START });
    await store.open();
    return store;
  };
  await equalsModel({ store: await open(), reopen: open }, 30);
});
