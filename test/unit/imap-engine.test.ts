/** Goal: the connection's life around its commands: bursts, backpressure, time, shutdown, failures, disappearing clients. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ColumnsCache } from '../../core/imap/columns-cache.ts';
import { makeImapEngine } from '../../core/imap/engine.ts';
import type { ImapEnvironment } from '../../core/imap/environment.ts';
import { Fault, TemporaryError } from '../../core/mail/errors.ts';
import type { BlobWriter } from '../../core/ports/blob-store.ts';
import type { MailStoreReader } from '../../core/ports/mail-store.ts';
import { type ImapStores, ImapWorld, openImapStores, PASSWORD } from '../support/imap-world.ts';
import { exampleMessage } from '../support/messages.ts';
import { TestConnection } from '../support/test-connection.ts';

let stores: ImapStores;
before(async () => {
  stores = await openImapStores();
});
after(() => stores.close());

async function loggedIn(env: ImapEnvironment): Promise<TestConnection> {
  const connection = new TestConnection(makeImapEngine(env), { tls: true });
  await connection.send(`l LOGIN alice "${PASSWORD}"\r\n`);
  assert.match(connection.rest(), /^l OK /m);
  return connection;
}

/** An object with some of its methods in another way. */
const overriding = <T extends object>(target: T, methods: Partial<T>): T =>
  new Proxy(target, {
    get(_, name) {
      if (name in methods) return methods[name as keyof T];
      const value = target[name as keyof T];
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });

const storeWith = (world: ImapWorld, methods: Partial<MailStoreReader>): MailStoreReader =>
  overriding(world.env.store, methods);

test('a burst of responses is one write', async () => {
  const world = await ImapWorld.open(stores);
  const connection = await loggedIn(world.env);
  const { writes } = connection;
  await connection.send('a1 LIST "" *\r\na2 NAMESPACE\r\na3 NOOP\r\n');
  assert.equal(connection.writes, writes + 1);
  assert.match(connection.rest(), /a1 OK.*a2 OK.*a3 OK/s);
  connection.end();
});

test('a client that does not read is not served any further, and is again when it reads', async () => {
  const world = await ImapWorld.open(stores);
  const connection = await loggedIn(world.env);
  connection.stopReading();
  let taken = false;
  const sent = connection.send('a1 NOOP\r\n').then(() => {
    taken = true;
  });
  await new Promise(setImmediate);
  assert.equal(taken, false);
  connection.readOn();
  await sent;
  assert.match(connection.rest(), /^a1 OK /);
  connection.end();
});

test('what the client sends while a command runs waits, and the command is not run twice', async () => {
  const world = await ImapWorld.open(stores);
  const gate = Promise.withResolvers<void>();
  let asked = 0;
  const mailboxes: MailStoreReader['mailboxes'] = async (account) => {
    asked++;
    await gate.promise;
    return world.env.store.mailboxes(account);
  };
  const connection = await loggedIn({ ...world.env, store: storeWith(world, { mailboxes }) });
  const first = connection.send('a1 LIST "" INBOX\r\n');
  const second = connection.send('a2 NOOP\r\n');
  await new Promise(setImmediate);
  assert.equal(connection.rest(), '');
  gate.resolve();
  await Promise.all([first, second]);
  assert.match(connection.rest(), /^\* LIST .*\r\na1 OK .*\r\na2 OK .*\r\n$/);
  assert.equal(asked, 1);
  connection.end();
});

test('a fault is logged, answered NO [SERVERBUG] and ends this connection only', async () => {
  const world = await ImapWorld.open(stores);
  const broken: ImapEnvironment = {
    ...world.env,
    store: storeWith(world, { mailboxes: () => Promise.reject(new TypeError('undefined is not a function')) }),
  };
  const connection = await loggedIn(broken);
  const other = await loggedIn(world.env);
  await connection.send('a1 LIST "" *\r\na2 NOOP\r\n');
  assert.match(connection.rest(), /^a1 NO \[SERVERBUG\] .*\r\n\* BYE \[SERVERBUG\] .*\r\n$/);
  assert.ok(connection.closed);
  const fault = world.logged.find(({ event }) => event === 'imap.fault');
  assert.match(String(fault?.facts.stack), /TypeError: undefined is not a function/);
  await other.send('a1 NOOP\r\n');
  assert.match(other.rest(), /^a1 OK /);
  other.end();
});

test('trouble of the store is NO [UNAVAILABLE] and leaves the connection open', async () => {
  const world = await ImapWorld.open(stores);
  const store = storeWith(world, { mailboxes: () => Promise.reject(new TemporaryError('storeUnavailable')) });
  const connection = await loggedIn({ ...world.env, store });
  await connection.send('a1 LIST "" *\r\na2 NOOP\r\n');
  assert.match(connection.rest(), /^a1 NO \[UNAVAILABLE\] .*\r\na2 OK .*\r\n$/);
  connection.end();
});

test('before login the time runs from the start, after login from the last byte', async () => {
  const world = await ImapWorld.open(stores);
  let now = 1_000_000;
  const connection = new TestConnection(makeImapEngine({ ...world.env, now: () => now }), { tls: true });
  assert.equal(connection.engine.idleTimeoutMs, 60_000);
  now += 45_000;
  await connection.send('a');
  assert.equal(connection.engine.idleTimeoutMs, 15_000);
  now += 30_000;
  await connection.send('1');
  assert.equal(connection.engine.idleTimeoutMs, 1);
  await connection.send(` LOGIN alice "${PASSWORD}"\r\n`);
  assert.equal(connection.engine.idleTimeoutMs, 1_800_000);
  connection.rest();
  connection.engine.expire();
  assert.match(connection.rest(), /^\* BYE .*\r\n$/);
  assert.ok(connection.closed);
});

test('a shutdown lets the command that runs end, begins nothing new and says BYE', async () => {
  const world = await ImapWorld.open(stores);
  const gate = Promise.withResolvers<void>();
  const mailboxes: MailStoreReader['mailboxes'] = async (account) => {
    await gate.promise;
    return world.env.store.mailboxes(account);
  };
  const connection = await loggedIn({ ...world.env, store: storeWith(world, { mailboxes }) });
  const sent = connection.send('a1 LIST "" INBOX\r\na2 NOOP\r\n');
  await new Promise(setImmediate);
  const drained = connection.engine.drain();
  gate.resolve();
  await Promise.all([sent, drained]);
  assert.match(connection.rest(), /^\* LIST .*\r\na1 OK .*\r\n\* BYE \[UNAVAILABLE\] .*\r\n$/);
  assert.ok(connection.closed);
});

test('a shutdown lets a message that is coming in end', async () => {
  const world = await ImapWorld.open(stores);
  const connection = await loggedIn(world.env);
  await connection.send('a1 APPEND INBOX {10}\r\n');
  const drained = connection.engine.drain();
  await connection.send('a: b\r\n\r\nxx\r\n');
  await drained;
  assert.match(connection.rest(), /a1 OK \[APPENDUID .*\r\n\* BYE /);
});

test('a client that goes away in the middle of APPEND leaves nothing behind', async () => {
  const world = await ImapWorld.open(stores);
  let aborted = 0;
  const blobs = overriding(world.env.blobs, {
    writer(): BlobWriter {
      const writer = world.env.blobs.writer();
      return {
        write: (bytes) => writer.write(bytes),
        commit: () => writer.commit(),
        abort: async () => {
          aborted++;
          await writer.abort();
        },
      };
    },
  });
  const connection = await loggedIn({ ...world.env, blobs });
  await connection.send('a1 APPEND INBOX {1000+}\r\nSubject: x\r\n');
  connection.end();
  await new Promise(setImmediate);
  assert.equal(aborted, 1);
  const [inbox] = await world.env.store.mailboxes(world.account);
  assert.equal(inbox!.total, 0);
});

test('a message is passed on as it comes, in pieces', async () => {
  const world = await ImapWorld.open(stores);
  const pieces: number[] = [];
  const blobs = overriding(world.env.blobs, {
    writer(): BlobWriter {
      const writer = world.env.blobs.writer();
      return {
        async write(bytes) {
          pieces.push(bytes.length);
          await writer.write(bytes);
        },
        commit: () => writer.commit(),
        abort: () => writer.abort(),
      };
    },
  });
  const connection = await loggedIn({ ...world.env, blobs });
  const message = Buffer.from(`${exampleMessage(1)}${'x'.repeat(90_000)}`);
  await connection.send(`a1 APPEND INBOX {${message.length}+}\r\n`);
  await connection.send(message, 10_000);
  assert.deepEqual(pieces, [...Array(9).fill(10_000), message.length - 90_000]);
  await connection.send('\r\n');
  assert.match(connection.rest(), /a1 OK \[APPENDUID /);
  connection.end();
});

test('a failed poll does not turn a done command into NO', async () => {
  const world = await ImapWorld.open(stores);
  let fail = false;
  const changes: MailStoreReader['changes'] = (...args) => {
    if (fail) return Promise.reject(new TemporaryError('storeUnavailable'));
    return world.env.store.changes(...args);
  };
  const store = storeWith(world, { changes });
  const connection = await loggedIn({ ...world.env, store, columns: new ColumnsCache(store) });
  await connection.send('a1 SELECT INBOX\r\n');
  assert.match(connection.rest(), /a1 OK /);
  await world.deliver('INBOX', exampleMessage(1));
  fail = true;
  await connection.send('a2 CREATE x\r\n');
  assert.match(connection.rest(), /^a2 OK .*\r\n$/);
  fail = false;
  await connection.send('a3 NOOP\r\n');
  assert.match(connection.rest(), /\* 1 EXISTS\r\n.*a3 OK /s);
  connection.end();
});

test('the second hint of a burst is not lost while the first is being told', async () => {
  const world = await ImapWorld.open(stores);
  const connection = await loggedIn(world.env);
  await connection.send('a1 SELECT INBOX\r\n');
  await connection.send('a2 IDLE\r\n');
  connection.rest();
  await Promise.all([1, 2, 3, 4, 5].map((n) => world.deliver('INBOX', exampleMessage(n))));
  await connection.until((line) => line === '* 5 EXISTS');
  await connection.send('DONE\r\n');
  assert.equal(world.listeners, 0);
  connection.end();
});

test('IDLE goes on while the store does not answer, and tells what came once it does', async () => {
  const world = await ImapWorld.open(stores);
  let asked = 0;
  let fails = false;
  const changes: MailStoreReader['changes'] = async (...args) => {
    asked++;
    if (fails) throw new TemporaryError('storeUnavailable');
    return world.env.store.changes(...args);
  };
  const store = storeWith(world, { changes });
  const connection = await loggedIn({ ...world.env, store, columns: new ColumnsCache(store) });
  await connection.send('a1 SELECT INBOX\r\na2 IDLE\r\n');
  connection.rest();
  fails = true;
  asked = 0;
  await world.deliver('INBOX', exampleMessage(1));
  while (world.logged.at(-1)?.event !== 'imap.pollFailed') await new Promise(setImmediate);
  // Hints don't make it look more often than it may.
  await world.deliver('INBOX', exampleMessage(2));
  await new Promise(setImmediate);
  assert.deepEqual([asked, connection.rest()], [1, '']);
  fails = false;
  assert.equal(world.passTime(), 1);
  await connection.until((line) => line === '* 2 EXISTS');
  fails = true;
  await world.deliver('INBOX', exampleMessage(3));
  await connection.send('DONE\r\n');
  assert.match(connection.rest(), /^a2 OK /m);
  assert.equal(world.listeners, 0);
  connection.end();
});

test('IDLE says that it has begun before it looks, and what it has found before it looks again', async () => {
  const world = await ImapWorld.open(stores);
  let slow = false;
  const looks: (() => void)[] = [];
  const changes: MailStoreReader['changes'] = async (...args) => {
    if (slow) await new Promise<void>((resolve) => looks.push(resolve));
    return world.env.store.changes(...args);
  };
  const store = storeWith(world, { changes });
  const connection = await loggedIn({ ...world.env, store, columns: new ColumnsCache(store) });
  await connection.send('a1 SELECT INBOX\r\n');
  connection.rest();
  slow = true;
  const begun = connection.send('a2 IDLE\r\n');
  await connection.until((line) => line === '+ idling');
  await world.deliver('INBOX', exampleMessage(1));
  looks.shift()!();
  await connection.until((line) => line === '* 1 EXISTS');
  slow = false;
  for (const look of looks) look();
  await begun;
  await connection.send('DONE\r\n');
  assert.match(connection.rest(), /^a2 OK /m);
  connection.end();
});

test('a client that goes away during IDLE takes its listener along', async () => {
  const world = await ImapWorld.open(stores);
  const connection = await loggedIn(world.env);
  await connection.send('a1 IDLE\r\n');
  assert.equal(world.listeners, 1);
  connection.end();
  await new Promise(setImmediate);
  assert.equal(world.listeners, 0);
});

test('a fault while a command line is being read ends the connection with BYE', async () => {
  const world = await ImapWorld.open(stores);
  const authenticator = { ...world.env.authenticator, password: () => Promise.reject(new Fault('broken')) };
  const connection = new TestConnection(makeImapEngine({ ...world.env, authenticator }), { tls: true });
  connection.rest();
  await connection.send('a1 LOGIN alice x\r\n');
  assert.match(connection.rest(), /a1 NO \[SERVERBUG\] .*\r\n\* BYE /);
});
