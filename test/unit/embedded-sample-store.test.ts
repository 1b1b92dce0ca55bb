/** The embedded sample store keeps the port's promises. */

import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EmbeddedSampleStore } from '../../drivers/embedded/sample-store.ts';
import { sampleStoreContract } from '../contract/sample-store.contract.ts';

sampleStoreContract('embedded', async () => {
  const root = fs.mkdtempSync(join(tmpdir(), 'mailmesh-samples-'));
  const opened: EmbeddedSampleStore[] = [];
  const start = async (name: string): Promise<EmbeddedSampleStore> => {
    const store = new EmbeddedSampleStore({ folder: join(root, name) });
    await store.open();
    opened.push(store);
    return store;
  };
  const store = await start('a');
  return {
    store,
    reopen: async () => {
      await opened.shift()!.close();
      return start('a');
    },
    afterKill: () => {
      fs.cpSync(join(root, 'a'), join(root, 'killed'), { recursive: true });
      return start('killed');
    },
    fromBackup: async () => {
      await store.backup(join(root, 'backup'));
      return start('backup');
    },
    dispose: async () => {
      for (const one of opened) await one.close();
      fs.rmSync(root, { recursive: true });
    },
  };
});
