/** The embedded model store keeps the port's promises, cleans up after a crash and activates quickly. */

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Fault, TemporaryError } from '../../core/mail/errors.ts';
import { EmbeddedModelStore } from '../../drivers/embedded/model-store.ts';
import { artefact, idOf, modelStoreContract } from '../contract/model-store.contract.ts';

const NOW = 1_790_000_000_000;

modelStoreContract('embedded', async () => {
  const root = fs.mkdtempSync(join(tmpdir(), 'mailmesh-models-'));
  const start = async (name: string): Promise<EmbeddedModelStore> => {
    const store = new EmbeddedModelStore({ folder: join(root, name) });
    await store.open();
    return store;
  };
  const store = await start('a');
  return {
    store,
    reopen: async () => {
      await store.close();
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
    damage: async (id) => {
      const file = join(root, 'a', `${id}.model`);
      const bytes = fs.readFileSync(file);
      bytes[100]! ^= 1;
      fs.writeFileSync(file, bytes);
    },
    dispose: async () => fs.rmSync(root, { recursive: true }),
  };
});

const INFO = { parent: null, schema: 1, trainedTo: 0, createdAt: NOW, metrics: {} };

async function inFolder(run: (folder: string, store: EmbeddedModelStore) => Promise<void>): Promise<void> {
  const folder = fs.mkdtempSync(join(tmpdir(), 'mailmesh-models-'));
  const store = new EmbeddedModelStore({ folder });
  try {
    await store.open();
    await run(folder, store);
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
}

test('embedded model store: what a crash left half written is taken away on opening', async () => {
  await inFolder(async (folder, store) => {
    await store.put(artefact(1), INFO);
    await store.close();
    fs.writeFileSync(join(folder, `${idOf(artefact(2))}.model`), artefact(2));
    fs.writeFileSync(join(folder, 'index.json.tmp'), '{"for');
    const again = new EmbeddedModelStore({ folder });
    await again.open();
    assert.deepEqual(fs.readdirSync(folder).sort(), [`${idOf(artefact(1))}.model`, 'index.json'].sort());
    assert.equal((await again.list()).length, 1);
  });
});

test('embedded model store: a broken index is named, not overwritten', async () => {
  await inFolder(async (folder, store) => {
    await store.put(artefact(1), INFO);
    await store.close();
    fs.writeFileSync(join(folder, 'index.json'), '{"format":1,"mod');
    await assert.rejects(new EmbeddedModelStore({ folder }).open(), (error) => {
      assert.ok(error instanceof TemporaryError);
      assert.equal(error.facts.file, join(folder, 'index.json'));
      return true;
    });
    assert.ok(fs.existsSync(join(folder, `${idOf(artefact(1))}.model`)));
  });
});

test('embedded model store: a model without its bytes cannot be activated', async () => {
  await inFolder(async (folder, store) => {
    const { id } = await store.put(artefact(1), INFO);
    fs.rmSync(join(folder, `${id}.model`));
    await assert.rejects(store.activate(id, 'alice', 'try', NOW), Fault);
    assert.equal(await store.active(), undefined);
  });
});
