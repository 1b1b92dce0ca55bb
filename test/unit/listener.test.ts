/** A listener: its limits hold against peers that stay, and it drains what is still shaking hands. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { createSecureContext } from 'node:tls';
import pino from 'pino';
import type { Engine, Wire } from '../../core/mail/wire.ts';
import type { NodeContext } from '../../mixins/context.ts';
import { Listener, type ListenerOptions } from '../../mixins/listener.ts';
import { createMetrics } from '../../mixins/metrics.ts';
import { Readiness } from '../../mixins/readiness.ts';
import { selfSigned } from '../../mixins/self-signed.ts';

interface World {
  readonly listener: Listener;
  readonly context: NodeContext;
  /** Moves the clock that idle times are told by. */
  pass(ms: number): void;
  connect(): Promise<Socket>;
}

/** Resolves when the socket is closed, by an error or not. */
const closeOf = (socket: Socket): Promise<void> => new Promise((resolve) => socket.once('close', () => resolve()));

const secureContext = createSecureContext(selfSigned('localhost', [], Date.now()));

const greeter = (wire: Wire): Engine => ({
  start: () => wire.write('hello\r\n'),
  feed: () => undefined,
  end: () => undefined,
  idleTimeoutMs: 60 * 60_000,
  expire: () => wire.close(),
  async drain() {
    wire.close();
  },
});

async function open(t: TestContext, more: Partial<ListenerOptions> = {}, connectionsMax = 100): Promise<World> {
  let passed = 0;
  const context = {
    config: { bind: '127.0.0.1', connectionsMax, connectionsPerAddressMax: 100, tlsHandshakeTimeoutMs: 60_000 },
    log: pino({ level: 'silent' }),
    metrics: createMetrics(),
    readiness: new Readiness(),
    tls: { context: secureContext },
    now: () => Date.now() + passed,
  } as unknown as NodeContext;
  const listener = new Listener(context, {
    name: 'test',
    protocol: 'smtp',
    port: 0,
    tls: false,
    engine: greeter,
    ...more,
  });
  await listener.listen();
  const clients: Socket[] = [];
  t.after(async () => {
    for (const client of clients) client.destroy();
    await listener.drain(0);
  });
  return {
    listener,
    context,
    pass: (ms) => {
      passed += ms;
    },
    async connect() {
      const client = connect({ port: context.readiness.listeners[0]!.port, host: '127.0.0.1', allowHalfOpen: true });
      clients.push(client);
      client.on('error', () => undefined);
      await once(client, 'connect');
      return client;
    },
  };
}

test('one connection too many is told so, and cut even when it goes on sending', async (t) => {
  const { connect: join } = await open(t, {}, 1);
  const [greeting] = await once(await join(), 'data');
  assert.equal(String(greeting), 'hello\r\n');
  const second = await join();
  const closed = closeOf(second);
  const [text] = await once(second, 'data');
  assert.match(String(text), /^421 4\.7\.0 /);
  const sending = setInterval(() => second.write('x'), 20);
  t.after(() => clearInterval(sending));
  await closed;
});

test('a listener that nobody has connected to yet shows no connections, and not nothing', async (t) => {
  const { context } = await open(t);
  const { values } = await context.metrics.connections.get();
  assert.deepEqual(values, [{ labels: { listener: 'test' }, value: 0 }]);
});

test('draining cuts a TLS handshake that has not ended', async (t) => {
  const { connect: join, listener, context } = await open(t, { tls: true });
  const client = await join();
  const closed = closeOf(client.resume());
  client.on('end', () => client.end());
  // The first half of a handshake record: the listener waits for the rest.
  client.write(Buffer.from([22, 3, 1, 2, 0]));
  for (let count = 0; count === 0; ) {
    count = (await context.metrics.connections.get()).values[0]?.value ?? 0;
    await new Promise((resolve) => setImmediate(resolve));
  }
  await listener.drain(60_000);
  await closed;
});

test('a peer that takes nothing of its answer is cut long before the idle time', async (t) => {
  const stuck = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<void>();
  const world = await open(t, {
    engine: (wire) => ({
      ...greeter(wire),
      async feed() {
        for (;;) {
          wire.write(Buffer.alloc(1024 * 1024));
          const drained = wire.drained();
          const turn = new Promise<'turn'>((resolve) => setImmediate(() => setImmediate(() => resolve('turn'))));
          if ((await Promise.race([drained.then(() => 'drained'), turn])) === 'drained') continue;
          stuck.resolve();
          await drained.catch(() => undefined);
          return;
        }
      },
      end: () => ended.resolve(),
    }),
  });
  const client = await world.connect();
  client.pause();
  client.write('everything');
  await stuck.promise;
  world.pass(6 * 60_000);
  await ended.promise;
});
