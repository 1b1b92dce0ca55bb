/** The tests' own servers: whatever happens to them or to the process that started them, promises to the tests hold. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { MongoClient } from 'mongodb';
import { connect } from 'nats';
import { mongoServer, natsServer, serversMissing } from '../support/cluster-servers.ts';

const skip = await serversMissing();

test('a MongoDB server keeps what it acknowledged through kill, stop and pause', { skip }, async (t) => {
  const server = await mongoServer();
  if (!server.own) return t.skip('MONGO_URL names a server that is not ours to kill');
  const client = new MongoClient(server.url);
  t.after(async () => {
    await client.close();
    await server.close();
  });
  const things = client
    .db('own')
    .collection<{ _id: number }>('things', { writeConcern: { w: 'majority', journal: true } });
  await things.insertOne({ _id: 1 });
  await server.restart();
  await things.insertOne({ _id: 2 });
  await server.stop();
  await server.start();
  await server.pause();
  const inserted = things.insertOne({ _id: 3 });
  server.resume();
  await inserted;
  assert.equal(await things.countDocuments(), 3);
});

test('a NATS server keeps its streams through a restart and loses them by wiping', { skip }, async (t) => {
  const server = await natsServer();
  t.after(() => server.close());
  if (!server.own) return t.skip('NATS_URL names a server that is not ours to kill');
  const streams = async () => {
    const connection = await connect({ servers: server.url });
    try {
      const manager = await connection.jetstreamManager();
      return { manager, names: (await manager.streams.list().next()).map(({ config }) => config.name), connection };
    } catch (error) {
      await connection.close();
      throw error;
    }
  };
  const first = await streams();
  assert.deepEqual(first.names, []);
  await first.manager.streams.add({ name: 'kept', subjects: ['kept'] });
  await first.connection.close();
  await server.restart();
  const second = await streams();
  assert.deepEqual(second.names, ['kept']);
  await second.connection.close();
  await server.wipe();
  const third = await streams();
  assert.deepEqual(third.names, []);
  await third.connection.close();
});

test('servers end and leave nothing behind when the process that started them is killed', { skip }, async () => {
  const module = join(import.meta.dirname, '..', 'support', 'cluster-servers.ts');
  const script = `
    import { mongoServer, natsServer } from ${JSON.stringify(module)};
    const servers = await Promise.all([mongoServer(), natsServer()]);
    console.log(JSON.stringify(servers.map(({ pid, dataDir }) => ({ pid, dataDir }))));
    setInterval(() => undefined, 1_000);`;
  const { MONGO_URL: _, NATS_URL: __, ...env } = process.env;
  const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', script], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  const servers = JSON.parse(line) as { pid: number; dataDir: string }[];
  for (const { pid, dataDir } of servers) assert.ok(process.kill(pid, 0) && existsSync(dataDir));
  child.kill('SIGKILL');
  await once(child, 'exit');
  const deadline = performance.now() + 10_000;
  const left = (): unknown[] => servers.filter(({ pid, dataDir }) => lives(pid) || existsSync(dirname(dataDir)));
  while (left().length > 0 && performance.now() < deadline) await new Promise(setImmediate);
  assert.deepEqual(left(), []);
});

function lives(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
