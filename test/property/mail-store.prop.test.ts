/** The embedded mail store equals a simple in-memory model. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { EmbeddedMailStore } from '../../drivers/embedded/mail-store.ts';
import { START } from '../contract/mail-store-fixtures.ts';
import { equalsModel } from './mail-store-property.ts';

test('any sequence of operations shows what the model shows', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'mailmesh-model-'));
  const open = async (): Promise<EmbeddedMailStore> => {
    const store = new EmbeddedMailStore({ folder, shards: 1, now: () => START });
    await store.open();
    return store;
  };
  let store = await open();
  try {
    await equalsModel(
      {
        store,
        reopen: async () => {
          await store.close();
          store = await open();
          return store;
        },
      },
      30,
    );
  } finally {
    await store.close();
    await rm(folder, { recursive: true });
  }
});
