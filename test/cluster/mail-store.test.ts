/** The cluster's mail store keeps the port's promises, and equals the model. */

import { test } from 'node:test';
import { ClusterMailStore } from '../../drivers/cluster/mail-store.ts';
import { mailStoreContract } from '../contract/mail-store.contract.ts';
import { START } from '../contract/mail-store-fixtures.ts';
import { equalsModel } from '../property/mail-store-property.ts';
import { Database, missing, sharedServer } from './cluster-fixture.ts';

/** What the stand-in for a MongoDB does in a few seconds. */
const TOMBSTONES_KEPT = 2000;
const LARGE = 6000;

interface Opened {
  readonly database: Database;
  readonly clock: { now: number };
  start(database?: Database): Promise<ClusterMailStore>;
  close(): Promise<void>;
}

async function opened(): Promise<Opened> {
  const databases = [await Database.create(await sharedServer())];
  const clock = { now: START };
  const stores: ClusterMailStore[] = [];
  return {
    database: databases[0]!,
    clock,
    start: async (database = databases[0]!) => {
      if (!databases.includes(database)) databases.push(database);
      const mongo = await database.connect();
      const store = new ClusterMailStore({ mongo, now: () => clock.now, tombstonesKept: TOMBSTONES_KEPT });
      await store.open();
      stores.push(store);
      return store;
    },
    close: async () => {
      for (const store of stores) await store.close();
      for (const database of databases) await database.dispose();
    },
  };
}

if (missing === false)
  mailStoreContract('cluster', async () => {
    const { clock, start, close } = await opened();
    return {
      ...{ store: await start(), clock, close, large: LARGE, tombstonesKept: TOMBSTONES_KEPT },
      reopen: () => start(),
      openBackup: async (folder) => {
        const store = await start(await Database.create(await sharedServer()));
        await store.restore(folder);
        return store;
      },
    };
  });

test('any sequence of operations shows what the model shows', { skip: missing }, async () => {
  const { start, close } = await opened();
  try {
    await equalsModel({ store: await start(), reopen: () => start() }, Number(process.env.RUNS ?? 3));
  } finally {
    await close();
  }
});
