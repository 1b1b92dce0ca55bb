/** A wire over a real socket: half-closed peers, peers that stay, engines that throw, and TLS that is turned on. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { createSecureContext, connect as tlsConnect } from 'node:tls';
import { sessionId } from '../../core/mail/ids.ts';
import type { Engine } from '../../core/mail/wire.ts';
import { selfSigned } from '../../mixins/self-signed.ts';
import { SocketWire } from '../../mixins/socket-wire.ts';

const engineOf = (parts: Partial<Engine>): Engine => ({
  start: () => undefined,
  feed: () => undefined,
  end: () => undefined,
  idleTimeoutMs: 60_000,
  expire: () => undefined,
  drain: () => Promise.resolve(),
  ...parts,
});

interface Pair {
  readonly wire: SocketWire;
  readonly client: Socket;
  readonly faults: unknown[];
  /** Resolves when the wire says that it is gone. */
  readonly gone: Promise<Error | undefined>;
}

const secureContext = () => createSecureContext(selfSigned('localhost', [], Date.now()));

/** A wire with the engine that `make` gives, and its peer. */
async function pair(t: TestContext, make: (wire: SocketWire) => Engine): Promise<Pair> {
  const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const client = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', allowHalfOpen: true });
  client.on('error', () => undefined);
  const [socket] = await accepted;
  const faults: unknown[] = [];
  const gone = Promise.withResolvers<Error | undefined>();
  const wire = new SocketWire(socket, {
    session: sessionId('t', 0, new Uint8Array(5)),
    secureContext,
    canStartTls: true,
    handshakeTimeoutMs: 20_000,
    now: Date.now,
    fault: (error) => faults.push(error),
    closed: gone.resolve,
  });
  t.after(() => {
    client.destroy();
    wire.destroy();
    server.close();
  });
  wire.run(make(wire));
  return { wire, client, faults, gone: gone.promise };
}

async function readAll(socket: Socket): Promise<string> {
  let all = '';
  socket.on('data', (piece) => {
    all += String(piece);
  });
  await once(socket, 'end');
  return all;
}

test('a peer that has closed its side still gets the answers to what it sent', async (t) => {
  const released = Promise.withResolvers<void>();
  const { client, gone } = await pair(t, (wire) =>
    engineOf({
      async feed(bytes) {
        await released.promise;
        wire.write(`answer to ${Buffer.from(bytes).toString()}`);
      },
    }),
  );
  const answer = readAll(client);
  client.end('question');
  // The end of the peer's side has arrived long before the answer is there.
  await once(client, 'finish');
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  released.resolve();
  assert.equal(await answer, 'answer to question');
  client.end();
  assert.equal(await gone, undefined);
});

test('a peer that goes on sending after the goodbye is cut', async (t) => {
  const { wire, client, gone } = await pair(t, () => engineOf({}));
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const said = readAll(client);
  wire.write('bye');
  wire.close();
  assert.equal(await said, 'bye');
  const sending = setInterval(() => client.write('x'), 5);
  t.after(() => clearInterval(sending));
  t.mock.timers.tick(60_000);
  await gone;
});

test('an engine that throws costs its own connection', async (t) => {
  const bug = new Error('bug');
  const { client, faults, gone } = await pair(t, () =>
    engineOf({
      feed() {
        throw bug;
      },
    }),
  );
  client.write('x');
  await gone;
  assert.deepEqual(faults, [bug]);
});

test('an engine whose work rejects costs its own connection', async (t) => {
  const bug = new Error('bug');
  const { client, faults, gone } = await pair(t, () => engineOf({ feed: () => Promise.reject(bug) }));
  client.write('x');
  await gone;
  assert.deepEqual(faults, [bug]);
});

test('nothing that was sent in plaintext behind STARTTLS reaches the engine', async (t) => {
  const fed: string[] = [];
  const done = Promise.withResolvers<void>();
  const { wire, client } = await pair(t, (own) =>
    engineOf({
      async feed(bytes) {
        fed.push(Buffer.from(bytes).toString());
        if (own.tls === null) {
          own.write('go');
          await own.startTls();
        } else done.resolve();
      },
    }),
  );
  client.write('STARTTLS');
  await once(client, 'data');
  const secure = tlsConnect({ socket: client, rejectUnauthorized: false });
  await once(secure, 'secureConnect');
  secure.write('inside');
  await done.promise;
  assert.deepEqual(fed, ['STARTTLS', 'inside']);
  assert.match(wire.tls!.version, /^TLSv1\.[23]$/);
});

test('a peer that leaves during the handshake is noticed at once', async (t) => {
  const failed = Promise.withResolvers<Error>();
  const { client, gone } = await pair(t, (own) =>
    engineOf({
      feed: () => own.startTls().catch(failed.resolve),
    }),
  );
  client.write('STARTTLS');
  client.end();
  assert.ok((await failed.promise) instanceof Error);
  client.destroy();
  await gone;
});

test('a peer that does not read blocks the engine and is seen as blocked', async (t) => {
  const { wire, client, gone } = await pair(t, () => engineOf({}));
  client.pause();
  let drained: Promise<void> | undefined;
  // More than the system's buffers take.
  while (!wire.blocked) {
    wire.write(Buffer.alloc(4 * 1024 * 1024));
    drained = wire.drained();
    await new Promise((resolve) => setImmediate(resolve));
  }
  wire.destroy();
  await assert.rejects(drained!);
  await gone;
});
