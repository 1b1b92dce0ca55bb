/** The connection to NATS: what is told when it cannot be used, and that it comes back by itself. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Nats, NatsUnusable } from '../../drivers/cluster/nats.ts';
import { eventually } from '../support/clients.ts';
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

test('credentials that change while a node runs are told once, and are right again by themselves', {
  skip: missing,
}, async () => {
  const args = (password: string) => ['--user', 'mesh', '--pass', password];
  const server = await natsServer({ args: args('right') });
  const told: string[] = [];
  const nats = new Nats({
    url: server.url.replace('//', '//mesh:right@'),
    report: (event, { detail }) => told.push(`${event} ${detail ?? ''}`.trim()),
  });
  try {
    await nats.open();
    await server.restart(args('other'));
    await eventually('refusal', () => (nats.trouble?.includes('refuses') === true ? true : undefined));
    // Several more attempts.
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    assert.deepEqual([nats.connected, told.length], [false, 3], told.join('\n'));
    assert.match(told[2]!, /^nats\.trouble NATS at 127\.0\.0\.1:\d+ refuses the user name, password or token$/);
    await server.restart(args('right'));
    await becomes(nats, true);
    assert.deepEqual([nats.trouble, told.length], [null, 4]);
  } finally {
    await nats.close();
    await server.close();
  }
});

test('a server without TLS is refused where the address asks for it; what cannot be reached is told once', {
  skip: missing,
}, async () => {
  const server = await natsServer();
  const told: string[] = [];
  const report = (event: string, { detail }: { readonly detail?: unknown }) => told.push(`${event} ${detail}`);
  try {
    await assert.rejects(
      new Nats({ url: server.url.replace('nats:', 'tls:') }).open(),
      /^Error: NATS at 127\.0\.0\.1:\d+ offers no TLS, which the address asks for$/,
    );
    await server.stop();
    const nats = new Nats({ url: server.url, report });
    await nats.open();
    await new Promise((resolve) => setTimeout(resolve, 4_000));
    await nats.close();
    assert.equal(told.length, 1, told.join('\n'));
    assert.match(told[0]!, /^nats\.trouble NATS at 127\.0\.0\.1:\d+ cannot be reached: /);
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

test('an address whose password is not escaped is refused, with nothing of it shown', () => {
  for (const access of ['user:12/sh', 'user:12?sh', 'user:12#sh', '12#sh', 'user:sh%', 'sh%zz'])
    assert.throws(
      () => new Nats({ url: `nats://${access}@127.0.0.1` }),
      (error: Error) => error instanceof NatsUnusable && !/12|sh/.test(error.message.replace('refused', '')),
      access,
    );
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
