/** Goal: the POP3 engine keeps its promises when the client does not read, goes away, or a store is in trouble. */

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { Fault } from '../../core/mail/errors.ts';
import { PIECE_BYTES } from '../../core/mail/layout.ts';
import { makePop3Engine } from '../../core/pop3/engine.ts';
import type { Pop3Environment } from '../../core/pop3/environment.ts';
import { type ImapStores, openImapStores, PASSWORD } from '../support/imap-world.ts';
import { exampleMessage } from '../support/messages.ts';
import { Pop3World } from '../support/pop3-world.ts';
import { TestConnection } from '../support/test-connection.ts';

let opened: Promise<ImapStores> | undefined;
after(async () => (await opened)?.close());

const LOGIN = `USER alice\r\nPASS ${PASSWORD}\r\n`;
const LONG = `Subject: long\r\n\r\n${'0123456789abcde\r\n'.repeat(PIECE_BYTES / 4)}`;

async function makeWorld(messages: readonly string[]): Promise<Pop3World> {
  opened ??= openImapStores();
  const world = await Pop3World.open(await opened);
  for (const message of messages) await world.mail.deliver('INBOX', message);
  return world;
}

async function login(world: Pop3World, env: Partial<Pop3Environment> = {}): Promise<TestConnection> {
  const connection = new TestConnection(makePop3Engine({ ...world.env, ...env }), { tls: true });
  await connection.send(LOGIN);
  assert.match(connection.rest(), /^\+OK [^\r]*\r\n\+OK [^\r]*\r\n\+OK Logged in/);
  return connection;
}

const read = (world: Pop3World): Pop3Environment['blobs']['read'] => world.env.blobs.read.bind(world.env.blobs);

test('a message is read only as fast as the client takes it', async () => {
  const world = await makeWorld([LONG]);
  let reads = 0;
  const counting: Pop3Environment['blobs'] = {
    read: (...args) => {
      reads++;
      return read(world)(...args);
    },
  };
  const connection = await login(world, { blobs: counting });
  connection.stopReading();
  const sent = connection.send('RETR 1\r\nNOOP\r\n');
  await connection.line();
  for (let turn = 0; turn < 20; turn++) await world.env.breathe();
  assert.ok(reads <= 2, `${reads} reads: one piece ahead at most`);
  connection.readOn();
  await sent;
  assert.equal(reads, 5);
  assert.ok(connection.rest().endsWith('\r\n.\r\n+OK OK\r\n'));
});

test('pipelined commands let other connections have their turn', async () => {
  const world = await makeWorld([LONG.slice(0, 50_000)]);
  let breaths = 0;
  const connection = await login(world, {
    breathe: () => {
      breaths++;
      return world.env.breathe();
    },
  });
  await connection.send('RETR 1\r\n'.repeat(40));
  assert.ok(breaths >= 5, `${breaths} breaths for 2 MB`);
});

test('a client that does not read is ended by the idle time, and its lock with it', async () => {
  const world = await makeWorld([LONG]);
  const connection = await login(world);
  connection.stopReading();
  const sent = connection.send('DELE 1\r\nRSET\r\nRETR 1\r\nDELE 1\r\nQUIT\r\n');
  while (connection.writes < 4) await world.env.breathe();
  connection.engine.expire();
  await sent;
  assert.equal(connection.closed, true);
  assert.equal(world.locked, false);
});

test('the idle time does not end a session that waits for us', async () => {
  const world = await makeWorld(['Subject: x\r\n\r\n']);
  const begun = Promise.withResolvers<void>();
  const committing = Promise.withResolvers<void>();
  const connection = await login(world, {
    commit: async (account, ops, session) => {
      begun.resolve();
      await committing.promise;
      return world.env.commit(account, ops, session);
    },
  });
  const sent = connection.send('DELE 1\r\nQUIT\r\n');
  await begun.promise;
  connection.engine.expire();
  const drained = connection.engine.drain();
  assert.equal(connection.closed, false);
  committing.resolve();
  await sent;
  await drained;
  assert.equal(connection.rest(), '+OK Marked as deleted\r\n+OK Bye\r\n');
});

test('a shutdown begins nothing new', async () => {
  const world = await makeWorld(['Subject: x\r\n\r\n']);
  const connection = await login(world);
  const sent = connection.send('DELE 1\r\nQUIT\r\n');
  await Promise.all([connection.engine.drain(), sent]);
  assert.match(connection.rest(), /^\+OK Marked as deleted\r\n-ERR \[SYS\/TEMP\] Service shutting down[^\r]*\r\n$/);
  assert.equal(world.locked, false);
});

test('the lock is held until a QUIT whose client has gone is done', async () => {
  const world = await makeWorld(['Subject: x\r\n\r\n']);
  const begun = Promise.withResolvers<void>();
  const committing = Promise.withResolvers<void>();
  const connection = await login(world, {
    commit: async (account, ops, session) => {
      begun.resolve();
      await committing.promise;
      return world.env.commit(account, ops, session);
    },
  });
  const sent = connection.send('DELE 1\r\nQUIT\r\n');
  await begun.promise;
  connection.end();
  assert.equal(world.locked, true);
  committing.resolve();
  await sent;
  assert.equal(world.locked, false);
  const columns = await world.env.store.columns(world.mail.account, await world.mail.mailboxId('INBOX'));
  assert.equal(columns?.uids.length, 0);
});

test('a client that goes away during its login leaves no lock', async () => {
  const world = await makeWorld([]);
  const begun = Promise.withResolvers<void>();
  const reading = Promise.withResolvers<void>();
  const store: Pop3Environment['store'] = {
    mailboxes: async (account) => {
      begun.resolve();
      await reading.promise;
      return world.env.store.mailboxes(account);
    },
    columns: (account, mailbox) => world.env.store.columns(account, mailbox),
    rows: (account, mailbox, uids) => world.env.store.rows(account, mailbox, uids),
    contents: (account, ids, fields) => world.env.store.contents(account, ids, fields),
  };
  const connection = new TestConnection(makePop3Engine({ ...world.env, store }), { tls: true });
  const sent = connection.send(LOGIN);
  await begun.promise;
  assert.equal(world.locked, true);
  connection.end();
  reading.resolve();
  await sent;
  assert.equal(world.locked, false);
  assert.equal(world.mail.listeners, 0);
});

test('a maildrop that cannot be opened is told as our trouble, and stays free', async () => {
  const world = await makeWorld([]);
  const store = { ...world.env.store, mailboxes: async () => [] };
  const connection = new TestConnection(makePop3Engine({ ...world.env, store }), { tls: true });
  await connection.send(LOGIN);
  assert.match(connection.rest(), /\r\n-ERR \[SYS\/TEMP\] Mail system temporarily unavailable\r\n$/);
  assert.equal(connection.closed, false);
  assert.equal(world.locked, false);
});

test('a bug of ours costs the connection and is logged with its stack', async () => {
  const world = await makeWorld([]);
  const connection = new TestConnection(
    makePop3Engine({
      ...world.env,
      acquire: () => {
        throw new TypeError('a bug');
      },
    }),
    { tls: true },
  );
  await connection.send(LOGIN);
  assert.match(connection.rest(), /\r\n-ERR \[SYS\/TEMP\] Internal error\r\n$/);
  assert.equal(connection.closed, true);
  const fault = world.mail.logged.find(({ event }) => event === 'pop3.fault');
  assert.match(String(fault?.facts.stack), /TypeError: a bug/);
});

test('a damaged message costs only its own RETR; one that breaks off on its way costs the connection', async () => {
  const world = await makeWorld([exampleMessage(1), LONG]);
  let bad = false;
  const damaged: Pop3Environment['blobs'] = {
    read: (ref, start, end) => {
      if (bad || start > 0) return Promise.reject(new Fault('blob is damaged', { ref }));
      return read(world)(ref, start, end);
    },
  };
  const connection = await login(world, { blobs: damaged });
  bad = true;
  await connection.send('RETR 1\r\nNOOP\r\n');
  assert.equal(connection.rest(), '-ERR [SYS/TEMP] Mail system temporarily unavailable\r\n+OK OK\r\n');
  bad = false;
  await connection.send('RETR 1\r\n');
  assert.match(connection.rest(), /^\+OK 164 octets\r\n/);
  await connection.send('RETR 2\r\n');
  assert.equal(connection.closed, true);
  assert.doesNotMatch(connection.rest(), /\r\n\.\r\n$/);
  assert.equal(world.locked, false);
});

test('one message after the other costs few look-ups, in either direction', async () => {
  const world = await makeWorld(Array.from({ length: 100 }, (_, n) => exampleMessage(n)));
  let lookUps = 0;
  const { store } = world.env;
  const counting: Pop3Environment['store'] = {
    mailboxes: (account) => store.mailboxes(account),
    columns: (account, mailbox) => store.columns(account, mailbox),
    rows: (account, mailbox, uids) => store.rows(account, mailbox, uids),
    contents: (account, ids, fields) => {
      lookUps++;
      return store.contents(account, ids, fields);
    },
  };
  const connection = await login(world, { store: counting });
  const numbers = Array.from({ length: 100 }, (_, index) => index + 1);
  for (const order of [numbers, numbers.toReversed()]) {
    lookUps = 0;
    for (const number of order) {
      await connection.send(`RETR ${number}\r\n`);
      assert.match(connection.rest(), new RegExp(`^\\+OK [^]*This is message ${number - 1}\\.\r\n\\.\r\n$`));
    }
    assert.ok(lookUps <= 7, `${lookUps} look-ups`);
  }
});

test('sizes are found out once, and later for new messages only', async () => {
  const world = await makeWorld([exampleMessage(1), 'Subject: x\r\n\r\nopen', exampleMessage(3)]);
  const looked: number[] = [];
  const { store, openEnds } = world.env;
  const original = store.contents.bind(store);
  store.contents = (account, ids, fields) => {
    looked.push(ids.length);
    return original(account, ids, fields);
  };
  const sizes = async (): Promise<string> => {
    const connection = await login(world, { openEnds });
    await connection.send('LIST\r\nSTAT\r\n');
    const listing = connection.rest();
    connection.end();
    return listing;
  };
  try {
    assert.equal(await sizes(), '+OK 3 messages\r\n1 164\r\n2 20\r\n3 164\r\n.\r\n+OK 3 348\r\n');
    await world.mail.deliver('INBOX', 'Subject: y\r\n\r\n');
    assert.match(await sizes(), /\r\n2 20\r\n3 164\r\n4 14\r\n\.\r\n\+OK 4 362\r\n$/);
  } finally {
    store.contents = original;
  }
  assert.deepEqual(looked, [3, 1]);
});

test('a byte now and then does not keep a connection that never logs in', async () => {
  const world = await makeWorld([]);
  const connection = new TestConnection(makePop3Engine(world.env), { tls: true });
  assert.equal(connection.engine.idleTimeoutMs, 60_000);
  world.now += 50_000;
  await connection.send('C');
  assert.equal(connection.engine.idleTimeoutMs, 10_000);
  world.now += 20_000;
  assert.equal(connection.engine.idleTimeoutMs, 1);
  await connection.send('APA\r\n');
  connection.rest();
  await connection.send(LOGIN);
  assert.equal(connection.engine.idleTimeoutMs, 600_000);
});

test('who reads the answer to QUIT can log in again at once', async () => {
  const world = await makeWorld([]);
  const connection = await login(world);
  const locked: boolean[] = [];
  connection.write = () => locked.push(world.locked);
  await connection.send('QUIT\r\n');
  assert.deepEqual(locked, [false]);
});
