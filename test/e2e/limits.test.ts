/** Every limit on what one client may take is an option, and whoever reaches it is told so. */

import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { eventually } from '../support/clients.ts';
import { LineClient } from '../support/line-client.ts';
import { type Login, newDataDir, removeDataDir, type Server, startServer } from '../support/server.ts';

const CONNECTIONS = 40;
/** Idle connections are looked at every second. */
const ENDS_WITHIN_MS = 10_000;

let dataDir: string;
let server: Server;
let alice: Login;
const open: LineClient[] = [];

before(async () => {
  dataDir = await newDataDir();
  server = await startServer(dataDir, {
    MAILMESH_CONNECTIONS_PER_ADDRESS_MAX: String(CONNECTIONS),
    MAILMESH_SIZE_BYTES_MAX: '64K',
    MAILMESH_RECIPIENTS_MAX: '100',
    MAILMESH_COMMANDS_MAX: '150',
    MAILMESH_ERRORS_MAX: '5',
    MAILMESH_SMTP_GREETING_TIMEOUT_MS: '1s',
    MAILMESH_SMTP_COMMAND_TIMEOUT_MS: '1s',
    MAILMESH_SMTP_DATA_TIMEOUT_MS: '1s',
    MAILMESH_IMAP_LOGIN_TIMEOUT_MS: '1s',
    MAILMESH_POP3_LOGIN_TIMEOUT_MS: '1s',
    MAILMESH_TLS_HANDSHAKE_TIMEOUT_MS: '1s',
    MAILMESH_HEADER_FIELDS_MAX: '100',
  });
  alice = server.accounts[0]!;
});
afterEach(async () => {
  for (const client of open.splice(0)) client.close();
  // The next test needs the places of this one's connections.
  await eventually('the connections to be gone', async () => {
    const metrics = await (await fetch(`http://127.0.0.1:${server.ports.http}/metrics`)).text();
    return /^mailmesh_connections\{.*\} [1-9]/m.test(metrics) ? undefined : true;
  });
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

async function greeted(): Promise<LineClient> {
  const client = await connect('smtp');
  await client.reply();
  await client.smtp('EHLO client.example');
  return client;
}

test('one connection too many is refused in the words of its protocol, and one less is enough', async () => {
  const crowd = await Promise.all(Array.from({ length: CONNECTIONS }, () => connect('smtp')));
  await Promise.all(crowd.map((client) => client.reply()));
  for (const [port, said] of [
    ['smtp', /^421 4\.7\.0 /],
    ['lmtp', /^421 4\.7\.0 /],
    ['imap', /^\* BYE \[UNAVAILABLE\] /],
    ['pop3', /^-ERR \[SYS\/TEMP\] /],
  ] as const) {
    const refused = await connect(port);
    assert.match((await refused.line())!, said);
    await refused.closed();
  }
  crowd[0]!.close();
  await eventually('place for another', async () => {
    const client = await connect('lmtp');
    return (await client.line())!.startsWith('220 ') ? true : undefined;
  });
});

test('recipients, commands, mistakes and bytes have their limits', async () => {
  const many = await greeted();
  await many.smtp('MAIL FROM:<x@client.example>');
  for (let i = 0; i < 100; i++)
    assert.match(await many.smtp(`RCPT TO:<${alice.address.replace('@', `+${i}@`)}>`), /^250 /);
  assert.match(await many.smtp(`RCPT TO:<${alice.address}>`), /^452 4\.5\.3 /);
  let last = '';
  while (!many.ended && !last.startsWith('421')) last = await many.smtp('NOOP');
  assert.match(last, /^421 4\.7\.0 .*commands/);
  await many.closed();

  const clumsy = await greeted();
  let answer = '';
  for (let i = 0; i < 6 && !answer.startsWith('421'); i++) answer = await clumsy.smtp('WHAT');
  assert.match(answer, /^421 4\.7\.0 .*errors/);
  await clumsy.closed();

  const big = await greeted();
  assert.match(await big.smtp('MAIL FROM:<x@client.example> SIZE=65537'), /^552 5\.3\.4 /);
  for (const message of ['x'.repeat(70_000), `${'X: y\r\n'.repeat(101)}\r\nx`]) {
    await big.smtp('MAIL FROM:<x@client.example>');
    await big.smtp(`RCPT TO:<${alice.address}>`);
    await big.smtp('DATA');
    assert.match(await big.smtp(`${message.length > 60_000 ? '\r\n' : ''}${message}\r\n.`), /^552 5\.3\.4 /);
  }
  const imap = await connect('imaps', true);
  await imap.line();
  await imap.imap(`LOGIN ${alice.address} ${alice.password}`);
  assert.match((await imap.imap('APPEND INBOX {65537}')).at(-1)!, /^x NO \[(TOOBIG|LIMIT)\]/);
});

test('who says nothing is not waited for for ever, in any phase', async () => {
  const silent = await connect('smtp');
  await silent.reply();
  const helo = await greeted();
  const data = await greeted();
  await data.smtp('MAIL FROM:<x@client.example>');
  await data.smtp(`RCPT TO:<${alice.address}>`);
  await data.smtp('DATA');
  await data.write('Subject: half');
  const imap = await connect('imap');
  await imap.line();
  const pop3 = await connect('pop3');
  await pop3.line();
  const tls = await connect('imaps');
  await Promise.all([
    ...[silent, helo, data].map(async (client) => {
      assert.match(await client.reply(ENDS_WITHIN_MS), /^421 4\.4\.2 /);
      await client.closed(ENDS_WITHIN_MS);
    }),
    imap.until(/^\* BYE /, ENDS_WITHIN_MS).then(() => imap.closed(ENDS_WITHIN_MS)),
    pop3.closed(ENDS_WITHIN_MS),
    tls.closed(ENDS_WITHIN_MS),
  ]);
});
