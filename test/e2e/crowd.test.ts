/** Nobody is held up by others: by a thousand who idle, by those who send a byte now and then, or by those who send garbage. */

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, afterEach, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { eventually } from '../support/clients.ts';
import { LineClient } from '../support/line-client.ts';
import { startProbe } from '../support/probe.ts';
import { rest } from '../support/rest.ts';
import { type Login, newDataDir, removeDataDir, type Server, startServer } from '../support/server.ts';

const CROWD = 1_000;
const OTHERS_WAIT_MS_MAX = 500;
const PORTS = ['smtp', 'submission', 'submissions', 'lmtp', 'imap', 'imaps', 'pop3', 'pop3s', 'http'];

let dataDir: string;
let server: Server;
let alice: Login;
let bob: Login;
const open: LineClient[] = [];

before(async () => {
  dataDir = await newDataDir();
  server = await startServer(dataDir, { MAILMESH_INSECURE_AUTH: 'true' });
  [alice, bob] = server.accounts as [Login, Login];
});
afterEach(() => {
  for (const client of open.splice(0)) client.close();
});
after(async () => {
  assert.equal(await server.stop(), 0);
  await removeDataDir(dataDir);
});

async function connect(port: string, tls = false): Promise<LineClient> {
  const client = await LineClient.open(server.ports[port]!, { tls });
  open.push(client);
  return client;
}

async function deliver(to: Login, id: string): Promise<void> {
  const lmtp = await connect('lmtp');
  await lmtp.reply();
  await lmtp.smtp('LHLO client.example');
  await lmtp.smtp('MAIL FROM:<x@client.example>');
  await lmtp.smtp(`RCPT TO:<${to.address}>`);
  await lmtp.smtp('DATA');
  assert.match(await lmtp.smtp(`Message-ID: <${id}@client.example>\r\n\r\ntext\r\n.`), /^250 /);
}

/** Faults are bugs of ours, whatever a client did. */
async function faults(): Promise<number> {
  const page = (await rest(server, '/metrics')).body.toString();
  return [...page.matchAll(/^mailmesh_faults_total(?:\{[^}]*\})? (\d+)$/gm)].reduce((sum, [, n]) => sum + Number(n), 0);
}

async function idle(login: Login): Promise<LineClient> {
  const client = await connect('imap');
  await client.line();
  assert.match((await client.imap(`LOGIN ${login.address} ${login.password}`)).at(-1)!, /^x OK/);
  await client.imap('SELECT INBOX');
  await client.write('x IDLE\r\n');
  await client.until(/^\+/);
  return client;
}

test('a thousand idle connections are all told of new mail, and others hardly wait', {
  timeout: 120_000,
}, async (t) => {
  const crowd: LineClient[] = [];
  for (let i = 0; i < CROWD; i += 50) crowd.push(...(await Promise.all(Array.from({ length: 50 }, () => idle(alice)))));
  const probe = await startProbe(server, bob);
  const begun = performance.now();
  const told = crowd.map((client) => client.until(/^\* 1 EXISTS/));
  await deliver(alice, 'crowd');
  await Promise.all(told);
  const tookMs = Math.round(performance.now() - begun);
  for (let i = 0; i < 20; i++) await deliver(bob, `flow-${i}`);
  const waitedMs = Math.round(await probe.stop());
  t.diagnostic(`${CROWD} told within ${tookMs} ms, others waited ${waitedMs} ms`);
  assert.ok(waitedMs < OTHERS_WAIT_MS_MAX, `another client waited ${waitedMs} ms`);
});

test('clients that send a byte now and then cost nobody else anything', { timeout: 60_000 }, async (t) => {
  const commands: Readonly<Record<string, string>> = {
    smtp: 'EHLO a.client.that.types.slowly.example\r\n',
    lmtp: 'LHLO a.client.that.types.slowly.example\r\n',
    imap: 'x LOGIN "somebody who types slowly" "x"\r\n',
    pop3: 'USER somebody-who-types-slowly\r\n',
    http: 'GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n',
  };
  const slow = await Promise.all(
    Object.entries(commands).flatMap(([port, command]) =>
      Array.from({ length: 20 }, async () => ({ client: await connect(port), command })),
    ),
  );
  const probe = await startProbe(server, bob);
  for (let at = 0; at < 30; at++) {
    for (const { client, command } of slow) if (at < command.length) await client.write(command[at]!);
    await pause(20);
  }
  await deliver(bob, 'beside-the-slow');
  const waitedMs = Math.round(await probe.stop());
  t.diagnostic(`others waited ${waitedMs} ms`);
  assert.ok(waitedMs < OTHERS_WAIT_MS_MAX, `another client waited ${waitedMs} ms`);
  const [first] = slow;
  await first!.client.write(first!.command.slice(30));
  assert.match((await first!.client.until(/^250 /)).at(-1)!, /^250 /);
});

/** Bytes that follow from a number. */
function garbage(seed: number, length: number): Buffer {
  const pieces: Buffer[] = [];
  for (let i = 0; i * 64 < length; i++) pieces.push(createHash('sha512').update(`${seed} ${i}`).digest());
  return Buffer.concat(pieces).subarray(0, length);
}

test('garbage on every port ends in an answer or a closed connection, and is no fault of ours', {
  timeout: 90_000,
}, async (t) => {
  const seed = randomBytes(4).readUInt32LE();
  t.diagnostic(`seed ${seed}`);
  const before = await faults();
  const offers: readonly Buffer[] = [
    garbage(seed, 100_000),
    Buffer.concat([garbage(seed + 1, 3_000), Buffer.from('\r\n')]),
    Buffer.alloc(200_000, 'A'),
    Buffer.alloc(100_000, '\r\n'),
    Buffer.alloc(50_000),
    // A TLS greeting where none is expected, and one that is cut off where it is.
    Buffer.from('16030100c8010000c40303', 'hex'),
    Buffer.from('GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello'),
    Buffer.from('x LOGIN {99999999999}\r\n x APPEND INBOX {5000000000+}\r\n'),
    Buffer.from(`${'x ('.repeat(50_000)}\r\n`),
    Buffer.from(
      'EHLO \0\r\nMAIL FROM:<\xff@\xff>\r\nRCPT TO:<\r\n>\r\nDATA\r\n.\r\nBDAT 99999999999999999999 LAST\r\n',
      'latin1',
    ),
    Buffer.from('AUTH PLAIN\r\n====\r\nSTLS\r\nUSER\r\nPASS\r\nTOP -1 -1\r\nRETR 0\r\n'),
  ];
  const probe = await startProbe(server, bob);
  for (const port of PORTS) {
    await Promise.all(
      offers.map(async (bytes) => {
        const client = await connect(port);
        await client.write(bytes);
        client.socket.end();
        await client.closed();
        client.close();
      }),
    );
  }
  // Inside of TLS too.
  for (const port of ['submissions', 'imaps', 'pop3s']) {
    await Promise.all(
      offers.map(async (bytes) => {
        const client = await connect(port, true);
        await client.write(bytes);
        client.socket.end();
        await client.closed();
      }),
    );
  }
  const waitedMs = Math.round(await probe.stop());
  t.diagnostic(`others waited ${waitedMs} ms`);
  assert.equal((await faults()) - before, 0, server.log.filter((line) => line.includes('"level":50')).join('\n'));
  assert.ok(waitedMs < OTHERS_WAIT_MS_MAX, `another client waited ${waitedMs} ms`);
  await deliver(bob, 'after-the-garbage');
});

test('connections that break off at any moment leave nothing behind', { timeout: 60_000 }, async () => {
  const before = await faults();
  const dialogue = `EHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<${bob.address}>\r\nDATA\r\nSubject: x\r\n\r\ntext`;
  for (let length = 0; length < dialogue.length; length += 3) {
    const client = await connect('smtp');
    await client.write(dialogue.slice(0, length));
    client.socket.resetAndDestroy();
  }
  for (const command of [
    'x LOGIN',
    `x LOGIN ${bob.address} ${bob.password}\r\nx SELECT INBOX\r\nx FETCH 1:* BODY[]\r\n`,
    'x APPEND INBOX {100}\r\nabc',
  ]) {
    for (let length = 1; length < command.length; length += 5) {
      const client = await connect('imap');
      await client.write(command.slice(0, length));
      client.socket.resetAndDestroy();
    }
  }
  const left = await eventually('end of all connections', async () => {
    const page = (await rest(server, '/metrics')).body.toString();
    const counts = [...page.matchAll(/^mailmesh_connections\{listener="(?:smtp|imap)"\} (\d+)$/gm)].map(([, n]) =>
      Number(n),
    );
    return counts.every((count) => count === 0) ? counts : undefined;
  });
  assert.equal(left.length, 2);
  assert.equal((await faults()) - before, 0, server.log.filter((line) => line.includes('"level":50')).join('\n'));
});
