/** Locks in MongoDB keep the port's promises, asking for nothing that MongoDB refuses. */

import { setTimeout as sleep } from 'node:timers/promises';
import { ClusterLockStore } from '../../drivers/cluster/lock-store.ts';
import { lockStoreContract } from '../contract/lock-store.contract.ts';
import { MemoryMongo } from '../support/memory-mongo.ts';

lockStoreContract('cluster, in memory', async () => ({
  store: new ClusterLockStore({ mongo: MemoryMongo.create() }),
  pass: (ms) => sleep(ms),
  close: async () => undefined,
}));
