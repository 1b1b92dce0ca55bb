/** Locks in MongoDB keep the port's promises. */

import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ClusterLockStore } from '../../drivers/cluster/lock-store.ts';
import { lockStoreContract } from '../contract/lock-store.contract.ts';
import { Database, missing, sharedServer } from './cluster-fixture.ts';

if (missing !== false) test('locks in MongoDB', { skip: missing }, () => undefined);
else
  lockStoreContract('cluster', async () => {
    const database = await Database.create(await sharedServer());
    return {
      store: new ClusterLockStore({ mongo: await database.connect() }),
      // The server's clock can't be turned.
      pass: (ms) => sleep(ms),
      close: () => database.dispose(),
    };
  });
