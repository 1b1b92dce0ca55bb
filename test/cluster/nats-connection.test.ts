/** The connection to NATS: what is told when it cannot be used, and that it comes back by itself. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Nats, NatsUnusable } from '../../drivers/cluster/nats.ts';
import { natsServer } from '../support/cluster-servers.ts';
import { missing } from './cluster-fixture.ts';

/** Resolves at the next change to that. */
const becomes = (nats: Nats, wanted: boolean): Promise<void> =>
  new Promise((resolve) => {
    if (nats.connected === wanted) return resolve();
    const stop = nats.onChange((connected) => {
      if (connected !== wanted) return;
      stop();
      resolve();
    });
  });

test('wrong credentials are refused in one line, right ones are not', { skip: missing }, async () => {
  const server = await natsServer({ args: ['--user', 'mesh', '--pass', 's3cret/@'] });
  try {
    const at = (user: string): Nats => new Nats({ url: server.url.replace('//', `//${user}`) });
    for (const user of ['', 'mesh:wrong@', 'token@', 'other:s3cret@']) {
      const nats = at(user);
      await assert.rejects(nats.open(), (error: Error) => {
        assert.ok(error instanceof NatsUnusable);
        assert.match(error.message, /^NATS at 127\.0\.0\.1:\d+ refuses the user name, password or token$/);
        return true;
      });
      assert.equal(nats.connected, false);
    }
    const nats = at('mesh:s3cret%2F%40@');
    await nats.open();
    assert.deepEqual([nats.connected, nats.trouble], [true, null]);
    await nats.close();
  } finally {
    await server.close();
  }
});

test('a server without JetStream is refused in one line', { skip: missing }, async () => {
  const server = await natsServer({ jetStream: false });
  try {
    await assert.rejects(
      new Nats({ url: server.url }).open(),
      /^Error: NATS at .* has no JetStream: start the server with -js/,
    );
  } finally {
    await server.close();
  }
});

test('an address that is none is refused', () => {
  for (const url of ['http://127.0.0.1', 'nats://', 'nats://a b', '', 'nats://127.0.0.1,x://y'])
    assert.throws(() => new Nats({ url }), NatsUnusable, url);
});

test('a server that comes later, goes and comes back', { skip: missing }, async () => {
  const server = await natsServer();
  await server.stop();
  const told: string[] = [];
  const nats = new Nats({
    url: server.url,
    report: (event, { detail }) => told.push(`${event} ${detail ?? ''}`.trim()),
  });
  try {
    await nats.open();
    assert.equal(nats.connected, false);
    assert.match(nats.trouble!, /cannot be reached/);
    assert.equal(nats.connection, undefined);
    await server.start();
    await becomes(nats, true);
    assert.equal(nats.trouble, null);
    await server.kill();
    await becomes(nats, false);
    assert.match(nats.trouble!, /is away/);
    await server.start();
    await becomes(nats, true);
    await nats.connection!.flush();
    assert.deepEqual(
      told.map((line) => line.split(' ')[0]),
      ['nats.trouble', 'nats.connected', 'nats.trouble', 'nats.connected'],
    );
    for (const line of told) assert.match(line, /^nats\.(connected$|trouble NATS at )/);
  } finally {
    await nats.close();
    await server.close();
  }
});
