/** Locks in memory keep the port's promises. */

import { EmbeddedLockStore } from '../../drivers/embedded/lock-store.ts';
import { lockStoreContract } from '../contract/lock-store.contract.ts';

lockStoreContract('embedded', async () => {
  let now = 1_000_000;
  return {
    store: new EmbeddedLockStore({ now: () => now }),
    pass: async (ms) => {
      now += ms;
    },
    close: async () => undefined,
  };
});
