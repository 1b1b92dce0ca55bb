/** What a node tells of a database that does not answer any more, or refuses it: once, with the reason, without the password. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MongoClient } from 'mongodb';
import { loadConfig } from '../../core/config/load.ts';
import { openStores } from '../../mixins/storage.ts';
import { eventually } from '../support/clients.ts';
import { mongoServer, natsServer, serversMissing } from '../support/cluster-servers.ts';
import { newDataDir, removeDataDir } from '../support/server.ts';

const skip = (await serversMissing()) || ((process.env.MONGO_URL ?? '') !== '' && 'the server is not ours to stop');

test('a user that is removed, and a server that is killed, are told once each', { skip }, async () => {
  const [mongo, nats, dataDir] = await Promise.all([mongoServer(), natsServer(), newDataDir()]);
  const admin = async (access: string, command: object): Promise<void> => {
    const client = await MongoClient.connect(mongo.url.replace('//', `//${access}`));
    await client.db('admin').command(command as never);
    await client.close();
  };
  const user = (name: string) => ({ createUser: name, pwd: 'hush', roles: ['root'] });
  await admin('', user('mesh'));
  await admin('', user('operator'));
  await mongo.restart(['--auth']);
  const told: string[] = [];
  const config = loadConfig({
    MAILMESH_MONGO_URL: `${mongo.url.replace('//', '//mesh:hush@')}/app?authSource=admin`,
    MAILMESH_NATS_URL: nats.url,
    MAILMESH_DATA_DIR: dataDir,
  });
  const report = (event: string, { detail = '' }: { readonly detail?: unknown }) => {
    if (event.startsWith('mongo.')) told.push(`${event} ${detail}`.trim());
  };
  const stores = await openStores(config, Date.now, { report });
  const ping = (wanted: boolean) => async (): Promise<true | undefined> => {
    const answers = await stores.mesh!.ping().then(
      () => true,
      () => false,
    );
    return answers === wanted ? true : undefined;
  };
  try {
    await stores.mesh!.ping();
    await admin('operator:hush@', { dropUser: 'mesh' });
    await mongo.restart(['--auth']);
    await eventually('refusal', async () => {
      await ping(false)();
      return stores.mesh!.trouble()?.includes('refuses') === true ? true : undefined;
    });
    assert.equal(told.length, 1, told.join('\n'));
    assert.match(stores.mesh!.trouble()!, /^MongoDB at 127\.0\.0\.1:\d+\/app refuses the user name or password$/);
    await admin('operator:hush@', user('mesh'));
    await eventually('an answer', ping(true));
    await mongo.kill();
    for (let i = 0; i < 3; i++) await eventually('silence', ping(false));
    await mongo.start();
    await eventually('an answer', ping(true));
    assert.deepEqual(
      told.map((line) => line.split(' ')[0]),
      ['mongo.trouble', 'mongo.connected', 'mongo.trouble', 'mongo.connected'],
    );
    assert.equal(stores.mesh!.trouble(), null);
    assert.doesNotMatch(told.join('\n'), /hush/);
  } finally {
    await stores.close();
    await Promise.all([mongo.close(), nats.close()]);
    await removeDataDir(dataDir);
  }
});
