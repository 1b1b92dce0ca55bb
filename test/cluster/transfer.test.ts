/** An installation of one machine goes into a mesh, through the end of the database, and back again. */

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { loadConfig } from '../../core/config/load.ts';
import { TemporaryError } from '../../core/mail/errors.ts';
import { openStores, type Stores } from '../../mixins/storage.ts';
import { transfer } from '../../mixins/transfer.ts';
import { mongoServer, natsServer, withDatabase } from '../support/cluster-servers.ts';
import { fill, pictureOf } from '../support/transfer-world.ts';
import { missing } from './cluster-fixture.ts';

const options = { owner: 'transfer', now: Date.now };

test('transfer: one machine → mesh → one machine', { skip: missing }, async () => {
  const root = fs.mkdtempSync(join(tmpdir(), 'mailmesh-transfer-'));
  const opened: Stores[] = [];
  const open = async (name: string, urls: Record<string, string> = {}): Promise<Stores> => {
    const config = loadConfig({ MAILMESH_DATA_DIR: join(root, name), ...urls });
    const stores = await openStores(config, Date.now, { node: name });
    opened.push(stores);
    return stores;
  };
  const [mongo, nats] = [await mongoServer(), await natsServer()];
  try {
    const database = withDatabase(mongo.url, `transfer-${process.pid}`);
    const from = await open('a');
    const mesh = await open('mesh', { MAILMESH_MONGO_URL: database, MAILMESH_NATS_URL: nats.url });
    const back = await open('b');
    await fill(from);
    const before = await pictureOf(from);
    if (mongo.own) {
      let told = 0;
      const cut = transfer(from, mesh, {
        ...options,
        progress: ({ messages }) => {
          if (messages > 100 && told++ === 0) void mongo.kill();
        },
      });
      await assert.rejects(cut, TemporaryError);
      await mongo.restart();
    }
    const report = await transfer(from, mesh, options);
    assert.deepEqual([report.damagedCount, report.busy], [0, []]);
    assert.deepEqual(await pictureOf(mesh), before);
    const again = await transfer(from, mesh, options);
    assert.deepEqual(await pictureOf(mesh), before);
    assert.equal(again.messagesKnown, again.messages);
    assert.deepEqual(await mesh.directory.verify(), []);
    assert.deepEqual(await mesh.samples.verify(), []);
    await transfer(mesh, back, options);
    assert.deepEqual(await pictureOf(back), before);
  } finally {
    for (const stores of opened.reverse()) await stores.close();
    await mongo.close();
    await nats.close();
    fs.rmSync(root, { recursive: true });
  }
});
