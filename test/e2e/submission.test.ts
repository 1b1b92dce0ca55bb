/** Users send by submission: over TLS only, in their own name, to local addresses, with what RFC 6409 lets a server add. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Transporter } from 'nodemailer';
import { mailmeshJson } from '../support/cli.ts';
import { arrived, fetchSource, sender, withImap } from '../support/clients.ts';
import { LineClient } from '../support/line-client.ts';
import { type Login, newDataDir, removeDataDir, type Server, startServer } from '../support/server.ts';

let dataDir: string;
let server: Server;
let alice: Login;
let bob: Login;

before(async () => {
  dataDir = await newDataDir();
  server = await startServer(dataDir);
  [alice, bob] = server.accounts as [Login, Login];
});
after(async () => {
  assert.equal(await server.stop(), 0);
  await removeDataDir(dataDir);
});

interface SendError extends Error {
  readonly response: string;
  readonly command: string;
}

/** What the server said to a message that it must refuse. */
async function refused(transport: Transporter, mail: Parameters<Transporter['sendMail']>[0]): Promise<string> {
  try {
    await transport.sendMail(mail);
  } catch (error) {
    return (error as SendError).response;
  } finally {
    transport.close();
  }
  throw new Error('it was accepted');
}

const received = async (login: Login, id: string, mailbox = 'INBOX'): Promise<string> =>
  withImap(server, login, async (imap) =>
    (await fetchSource(imap, mailbox, await arrived(imap, mailbox, id))).toString(),
  );

for (const [listener, method] of [
  ['submission', 'PLAIN'],
  ['submission', 'LOGIN'],
  ['submissions', 'PLAIN'],
  ['submissions', 'LOGIN'],
] as const) {
  test(`${listener} with AUTH ${method}`, async () => {
    const transport = sender(server, listener, alice, method);
    const messageId = `<${listener}-${method}@client.example>`;
    const { response } = (await transport.sendMail({
      from: { name: 'Alice', address: alice.address },
      to: bob.address,
      subject: 'Grüße 🎈',
      messageId,
      text: 'Hello Bob',
      html: '<p>Hello <b>Bob</b></p>',
      attachments: [{ filename: 'naïve.txt', content: 'attached' }],
    })) as { response: string };
    transport.close();
    assert.match(response, /^250 2\.0\.0 /);
    const message = await received(bob, messageId);
    assert.match(
      message,
      /\r\nReceived: from client\.example \([^)]*\) by mail\.localhost[^;]* with ESMTPSA\r\n \(TLSv1\.3 \w+\) id /,
    );
    assert.match(message, /^Return-Path: <alice@mail\.localhost>\r\nDelivered-To: bob@mail\.localhost\r\n/);
    assert.doesNotMatch(message, /X-Mailmesh-Spam/, "a user's own mail is not judged");
  });
}

test('Date and Message-ID are added where they are missing, and nothing else', async () => {
  const transport = sender(server, 'submission', alice);
  const raw = `From: ${alice.address}\r\nTo: ${bob.address}\r\nSubject: bare bones\r\n\r\nno more\r\n`;
  const { response } = (await transport.sendMail({ envelope: { from: alice.address, to: [bob.address] }, raw })) as {
    response: string;
  };
  transport.close();
  const queueId = /Accepted ([0-9a-z]+)/.exec(response)![1]!;
  const message = await received(bob, `<${queueId}@mail.localhost>`);
  assert.ok(message.endsWith(raw));
  const added = message.slice(0, -raw.length);
  assert.match(added, /\r\nDate: \w{3}, \d{1,2} \w{3} \d{4} \d\d:\d\d:\d\d \+0000\r\n/);
  assert.equal(added.match(/^(?:Date|Message-ID):/gm)!.length, 2);
});

test('a recipient elsewhere is refused, and the reason is named', async () => {
  const mail = { from: alice.address, to: 'somebody@elsewhere.example', subject: 'x', text: 'x' };
  assert.match(await refused(sender(server, 'submission', alice), mail), /^550 5\.7\.1 .*does not send mail to other/);
  // One of two that is local gets it all the same.
  const transport = sender(server, 'submissions', alice);
  const info = (await transport.sendMail({
    ...mail,
    to: [bob.address, 'somebody@elsewhere.example'],
    messageId: '<half@client.example>',
  })) as unknown as { accepted: string[]; rejected: string[] };
  transport.close();
  assert.deepEqual([info.accepted, info.rejected], [[bob.address], ['somebody@elsewhere.example']]);
  await received(bob, '<half@client.example>');
});

test('only addresses of the account may be in MAIL FROM and From', async () => {
  const mail = { from: alice.address, to: bob.address, subject: 'x', text: 'x' };
  const envelope = { from: bob.address, to: [bob.address] };
  assert.match(await refused(sender(server, 'submission', alice), { ...mail, envelope }), /^553 5\.7\.1 /);
  assert.match(
    await refused(sender(server, 'submission', alice), {
      ...mail,
      from: 'boss@mail.localhost',
      envelope: { ...envelope, from: alice.address },
    }),
    /^550 5\.7\.1 .*From/,
  );
  for (const from of [`Alice <${alice.address}>, Bob <${bob.address}>`, `"${alice.address}" <${bob.address}>`]) {
    const raw = `From: ${from}\r\nTo: ${bob.address}\r\n\r\nx\r\n`;
    const said = await refused(sender(server, 'submission', alice), {
      envelope: { ...envelope, from: alice.address },
      raw,
    });
    assert.match(said, /^550 5\.7\.1 .*From/, from);
  }
  // An alias is an address of the account, and so is a subaddress.
  await mailmeshJson(dataDir, ['alias', 'add', 'sales@mail.localhost', alice.address]);
  for (const from of ['sales@mail.localhost', 'alice+shop@mail.localhost']) {
    const transport = sender(server, 'submission', alice);
    await transport.sendMail({ ...mail, from });
    transport.close();
  }
});

test('without TLS nobody is asked for a password, and none is taken', async () => {
  const client = await LineClient.open(server.ports.submission!);
  await client.reply();
  const offered = await client.smtp('EHLO client.example');
  assert.match(offered, /^250[ -]STARTTLS$/m);
  assert.doesNotMatch(offered, /AUTH/);
  const plain = Buffer.from(`\0${alice.address}\0${alice.password}`).toString('base64');
  assert.match(await client.smtp(`AUTH PLAIN ${plain}`), /^538 5\.7\.11 /);
  assert.match(await client.smtp(`MAIL FROM:<${alice.address}>`), /^530 5\.7\.0 /);
  client.close();
});

test('a wrong password and an unknown user get the same answer, and many of them a pause', async () => {
  const said = new Set<string>();
  for (const user of [bob.address, 'nobody@mail.localhost'])
    said.add(
      await refused(sender(server, 'submissions', { address: user, password: 'wrong' }), {
        from: bob.address,
        to: alice.address,
        text: 'x',
      }),
    );
  assert.deepEqual([...said], ['535 5.7.8 Authentication credentials invalid']);
  const client = await LineClient.open(server.ports.submissions!, { tls: true });
  await client.reply();
  await client.smtp('EHLO client.example');
  const wrong = Buffer.from(`\0${bob.address}\0wrong`).toString('base64');
  const codes = new Set<string>();
  for (let i = 0; i < 8; i++) codes.add((await client.smtp(`AUTH PLAIN ${wrong}`)).slice(0, 9));
  client.close();
  assert.ok(codes.has('454 4.7.0'), [...codes].join());
});
