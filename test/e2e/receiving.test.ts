/** Who gets mail from the world and from a front server: aliases, subaddresses, the catch-all, and who does not, with the reason. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { mailmesh, mailmeshJson } from '../support/cli.ts';
import { arrived, withImap } from '../support/clients.ts';
import { LineClient } from '../support/line-client.ts';
import { type Login, newDataDir, removeDataDir, type Server, startServer } from '../support/server.ts';

let dataDir: string;
let server: Server;
let alice: Login;
let bob: Login;
let number = 0;

before(async () => {
  dataDir = await newDataDir();
  server = await startServer(dataDir);
  [alice, bob] = server.accounts as [Login, Login];
});
after(async () => {
  assert.equal(await server.stop(), 0);
  await removeDataDir(dataDir);
});

async function open(kind: 'smtp' | 'lmtp'): Promise<LineClient> {
  const client = await LineClient.open(server.ports[kind]!);
  await client.reply();
  await client.smtp(kind === 'smtp' ? 'EHLO client.example' : 'LHLO client.example');
  return client;
}

/** Sends to addresses and gives the Message-ID. */
async function send(...to: readonly string[]): Promise<string> {
  const id = `<receiving-${++number}@client.example>`;
  const client = await open('smtp');
  assert.match(await client.smtp('MAIL FROM:<x@client.example>'), /^250 /);
  for (const address of to) assert.match(await client.smtp(`RCPT TO:<${address}>`), /^250 /, address);
  await client.smtp('DATA');
  assert.match(await client.smtp(`From: x@client.example\r\nMessage-ID: ${id}\r\n\r\ntext\r\n.`), /^250 /);
  client.close();
  return id;
}

const receives = (login: Login, id: string, mailbox = 'INBOX'): Promise<number> =>
  withImap(server, login, (imap) => arrived(imap, mailbox, id));

/** The reply to RCPT. */
async function rcpt(
  address: string,
  kind: 'smtp' | 'lmtp' = 'smtp',
  mail = 'MAIL FROM:<x@client.example>',
): Promise<string> {
  const client = await open(kind);
  await client.smtp(mail);
  const reply = await client.smtp(`RCPT TO:${address}`);
  client.close();
  return reply;
}

test('aliases, several recipients, and one who is named twice', async () => {
  await mailmeshJson(dataDir, ['alias', 'add', 'team@mail.localhost', alice.address, bob.address]);
  const id = await send('team@mail.localhost', 'TEAM@MAIL.LOCALHOST');
  await receives(alice, id);
  await receives(bob, id);
  const both = await send(alice.address, 'Alice@Mail.Localhost', bob.address);
  await withImap(server, alice, async (imap) => {
    await arrived(imap, 'INBOX', both);
    const lock = await imap.getMailboxLock('INBOX');
    const found = await imap.search({ header: { 'Message-ID': both } }, { uid: true });
    lock.release();
    assert.equal(found === false || found === undefined ? 0 : found.length, 1);
  });
});

test('a subaddress goes into the mailbox of its name where there is one, else into the inbox', async () => {
  await withImap(server, alice, (imap) => imap.mailboxCreate('Shopping'));
  await receives(alice, await send('alice+shopping@mail.localhost'), 'Shopping');
  await receives(alice, await send('alice+unknown@mail.localhost'));
});

test('postmaster without a domain, and with one', async () => {
  await mailmeshJson(dataDir, ['alias', 'add', 'postmaster@mail.localhost', bob.address]);
  await receives(bob, await send('postmaster'));
  await receives(bob, await send('Postmaster@mail.localhost'));
});

test('unknown addresses are refused until there is a catch-all', async () => {
  assert.match(await rcpt('<nobody@mail.localhost>'), /^550 5\.1\.1 /);
  await mailmeshJson(dataDir, ['domain', 'set', 'mail.localhost', '--catch-all', bob.address]);
  await receives(bob, await send('nobody@mail.localhost'));
  const { code } = await mailmesh(dataDir, ['domain', 'set', 'mail.localhost', '--catch-all', 'none']);
  assert.equal(code, 0);
  assert.match(await rcpt('<nobody@mail.localhost>'), /^550 5\.1\.1 /);
});

test('nothing is relayed, however the address is written', async () => {
  for (const address of [
    '<somebody@elsewhere.example>',
    '<somebody%elsewhere.example@mail.localhost>',
    '<"somebody@elsewhere.example">',
    '<"somebody@elsewhere.example"@mail.localhost>',
    '<elsewhere.example!somebody>',
    '<elsewhere.example!somebody@mail.localhost>',
    '<@mail.localhost:somebody@elsewhere.example>',
    '<somebody@elsewhere.example@mail.localhost>',
    '<somebody@[192.0.2.1]>',
    '<somebody@mail.localhost.elsewhere.example>',
    '<somebody@elsewhere.example\0@mail.localhost>',
    'somebody@elsewhere.example',
    '<somebody@ elsewhere.example>',
    '<alice@mail.localhost> <somebody@elsewhere.example>',
    '<alice@mail.localhost>,<somebody@elsewhere.example>',
  ])
    for (const kind of ['smtp', 'lmtp'] as const)
      for (const mail of ['MAIL FROM:<>', `MAIL FROM:<${alice.address}>`])
        assert.match(await rcpt(address, kind, mail), /^5\d\d 5\.\d\.\d /, `${kind} ${mail} ${address}`);
});

test('LMTP answers for each recipient, and who is over quota does not keep the others from their copy', async () => {
  const carol: Login = { address: 'carol@mail.localhost', password: 'a password of carol' };
  await mailmeshJson(dataDir, ['account', 'add', carol.address, '--password-stdin', '--quota', '20K'], {
    input: `${carol.password}\n`,
  });
  const client = await open('lmtp');
  const deliver = async (id: string, to: readonly string[], bytes: number): Promise<string[]> => {
    await client.smtp('MAIL FROM:<x@client.example>');
    const replies: string[] = [];
    for (const address of to) replies.push(await client.smtp(`RCPT TO:<${address}>`));
    if (!replies.some((reply) => reply.startsWith('250 '))) return replies;
    await client.smtp('DATA');
    await client.write(`Message-ID: ${id}\r\n\r\n${'x'.repeat(bytes)}\r\n.\r\n`);
    for (let i = 0; i < to.length; i++) if (replies[i]!.startsWith('250 ')) replies[i] = await client.reply();
    return replies;
  };
  const three = await deliver(
    '<three@client.example>',
    [alice.address, 'nobody@mail.localhost', carol.address],
    15_000,
  );
  assert.deepEqual(
    three.map((reply) => reply.slice(0, 9)),
    ['250 2.0.0', '550 5.1.1', '250 2.0.0'],
  );
  assert.match(three[0]!, /<alice@mail\.localhost>/);
  await receives(carol, '<three@client.example>');
  const full = await deliver('<full@client.example>', [carol.address, bob.address], 15_000);
  const late = await deliver('<later@client.example>', [carol.address], 100_000);
  client.close();
  await receives(bob, '<full@client.example>');
  // Custody may be taken of one more: whether a mailbox is full is known for sure only at delivery.
  assert.match(full[0]!, /^(250 2\.0\.0|452 4\.2\.2) /);
  assert.match(late[0]!, /^(250 2\.0\.0|452 4\.2\.2) /);
  const declared = await open('smtp');
  await declared.smtp('MAIL FROM:<x@client.example> SIZE=30000');
  assert.match(await declared.smtp(`RCPT TO:<${carol.address}>`), /^452 4\.2\.2 /);
  assert.match(await declared.smtp(`RCPT TO:<${bob.address}>`), /^250 /);
  await declared.smtp('RSET');
  assert.match(await declared.smtp('MAIL FROM:<x@client.example> SIZE=99999999'), /^552 5\.3\.4 /);
  declared.close();
});

test('a message that goes round in circles ends', async () => {
  for (const [header, code] of [
    [`Delivered-To: ${alice.address}\r\n`, /^554 5\.4\.6 /],
    ['Received: from a by b; Tue, 24 Nov 2026 10:00:00 +0000\r\n'.repeat(101), /^554 5\.4\.6 /],
    ['Received: from a by b; Tue, 24 Nov 2026 10:00:00 +0000\r\n'.repeat(99), /^250 /],
  ] as const) {
    const client = await open('smtp');
    await client.smtp('MAIL FROM:<x@client.example>');
    await client.smtp(`RCPT TO:<${alice.address}>`);
    await client.smtp('DATA');
    assert.match(await client.smtp(`${header}Subject: round\r\n\r\nx\r\n.`), code);
    client.close();
  }
});

test('an account that is switched off gets no mail', async () => {
  const off = { address: 'dave@mail.localhost', password: 'a password of dave' };
  await mailmeshJson(dataDir, ['account', 'add', off.address, '--password-stdin'], { input: `${off.password}\n` });
  assert.match(await rcpt(`<${off.address}>`), /^250 /);
  assert.equal((await mailmesh(dataDir, ['account', 'set', off.address, '--disable'])).code, 0);
  assert.match(await rcpt(`<${off.address}>`), /^550 5\.2\.1 /);
  await assert.rejects(withImap(server, off, async () => undefined));
});
