/** Goal: only who has logged in submits, only as themselves, and never a password in plaintext. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Authenticator } from '../../core/sasl/authenticator.ts';
import { type Harness, type HarnessOptions, harness, PASSWORD } from '../support/smtp-harness.ts';

const base64 = (text: string): string => Buffer.from(text).toString('base64');
const ALICE = base64(`\0alice@mail.localhost\0${PASSWORD}`);

function secure(options: HarnessOptions = {}): Harness {
  return harness('submission', { tls: true, ...options });
}

async function loggedIn(options: HarnessOptions = {}): Promise<Harness> {
  const made = secure(options);
  assert.match(await made.say(`EHLO x\r\nAUTH PLAIN ${ALICE}`), /235 2\.7\.0 .*\r\n$/);
  return made;
}

async function submit(message: string, sender = 'alice@mail.localhost'): Promise<Harness & { reply: string }> {
  const made = await loggedIn();
  await made.say(`MAIL FROM:<${sender}>\r\nRCPT TO:<bob@mail.localhost>\r\nDATA\r\n`);
  return Object.assign(made, { reply: await made.say(`${message}.\r\n`) });
}

test("a mechanism's last word goes out as a challenge, and the empty answer ends it (RFC 4954 §4)", async () => {
  const scram: Partial<Authenticator> = {
    scram: async () => ({
      iterations: 1,
      salt: Buffer.alloc(1),
      storedKey: Buffer.alloc(32),
      serverKey: Buffer.alloc(32),
    }),
    scramDone: async () => ({ ok: true, account: harnessAccount, address: 'alice@mail.localhost' }),
  };
  const harnessAccount = 'alice00000000000' as never;
  const options = { env: { authenticator: scram as Authenticator } };
  const first = base64('n,,n=alice,r=abc');
  const last = base64('c=biws,r=abc,p=AAAA');
  for (const [answer, reply] of [
    ['', '235 2.7.0'],
    ['*', '501 5.7.0'],
    ['AAAA', '501 5.5.2'],
  ] as const) {
    const made = secure(options);
    await made.say('EHLO x');
    assert.match(await made.say(`AUTH SCRAM-SHA-256 ${first}`), /^334 /);
    assert.match(await made.say(last), /^334 dj/);
    assert.ok((await made.say(answer)).startsWith(reply));
    const sent = await made.say('MAIL FROM:<>');
    assert.equal(sent.startsWith('250'), answer === '', 'logged in only behind the answer');
  }
});

test('on loopback the configuration may allow passwords in plaintext', async () => {
  const made = harness('submission', { config: { insecureAuth: true } });
  assert.match(await made.say('EHLO x'), /AUTH SCRAM-SHA-256 PLAIN LOGIN\r\n$/);
  assert.match(await made.say(`AUTH PLAIN ${ALICE}`), /^235 2\.7\.0/);
  await made.say('STARTTLS');
  await made.say('EHLO x');
  assert.match(await made.say('MAIL FROM:<>'), /^530 5\.7\.0/, 'RFC 3207 §4.2: a login in plaintext is forgotten');
});

test('every address of every From field belongs to the account', async () => {
  const own = 'From: Alice <alice@mail.localhost>\r\n';
  const refused = [
    'From: bob@mail.localhost\r\n',
    'From: Alice <bob@mail.localhost>\r\n',
    'From: "alice@mail.localhost" <bob@mail.localhost>\r\n',
    'From: alice@mail.localhost, bob@mail.localhost\r\n',
    `${own}From: bob@mail.localhost\r\n`,
    `${own}from : bob@mail.localhost\r\n`,
    `${own}FROM:\r\n bob@mail.localhost\r\n`,
    'From: undisclosed:;\r\n',
    'From:\r\n',
    'From: alice\r\n',
    'From: friends: alice@mail.localhost, bob@mail.localhost;\r\n',
  ];
  for (const header of refused) {
    const { reply, accepted } = await submit(`${header}Subject: x\r\n\r\n`);
    assert.match(reply, /^550 5\.7\.1 From/, JSON.stringify(header));
    assert.deepEqual(accepted, []);
  }
  for (const header of [own, 'From: both@mail.localhost, (x) Alice@Mail.localhost\r\n', 'Subject: none\r\n']) {
    assert.match((await submit(`${header}\r\n`)).reply, /^250/, JSON.stringify(header));
  }
});

test('adds Date and Message-ID where they are missing, and says so in Received', async () => {
  const bare = await submit('From: alice@mail.localhost\r\n\r\n');
  const { headers, queueId, messageId, client } = bare.accepted[0]!;
  assert.match(headers, /^Received: from x \(\[192\.0\.2\.7\]\) by mail\.localhost with ESMTPSA\r\n/);
  assert.ok(
    headers.endsWith(`\r\nDate: Mon, 21 Sep 2026 14:13:20 +0000\r\nMessage-ID: <${queueId}@mail.localhost>\r\n`),
  );
  assert.equal(messageId, `<${queueId}@mail.localhost>`);
  assert.equal(client.user, 'alice@mail.localhost');
  const whole = await submit('Date: Mon, 1 Jan 2024 00:00:00 +0000\r\nMessage-ID: <a@b>\r\n\r\n');
  assert.doesNotMatch(whole.accepted[0]!.headers, /Date:|Message-ID:/);
  const world = harness('smtp');
  await world.say('EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<bob@mail.localhost>\r\nDATA\r\n\r\n.\r\n');
  assert.doesNotMatch(world.accepted[0]!.headers, /Date:|Message-ID:/, 'only for submissions');
});

test('a password, a body and a token are in no log line', async () => {
  const made = await submit('From: alice@mail.localhost\r\n\r\nsecret body\r\n');
  await made.say('AUTH PLAIN');
  const lines = made.logged.join('\n');
  for (const secret of [PASSWORD, ALICE, base64(PASSWORD), 'secret body']) assert.ok(!lines.includes(secret));
  assert.match(lines, /login .*alice@mail\.localhost/);
});
