/** Goal: only who has logged in submits, only as themselves, and never a password in plaintext. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Authenticator } from '../../core/sasl/authenticator.ts';
import { dialogue } from './smtp-dialogue.ts';
import { type Harness, type HarnessOptions, harness, PASSWORD } from './smtp-harness.ts';

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

test('wants a login first (RFC 4954 §6)', async () => {
  const made = secure();
  await made.say('EHLO x');
  await dialogue(
    made,
    `C: MAIL FROM:<alice@mail.localhost>
     S: 530 5.7.0
     C: RCPT TO:<bob@mail.localhost>
     S: 530 5.7.0
     C: DATA
     S: 530 5.7.0
     C: VRFY bob
     S: 530 5.7.0
     C: NOOP
     S: 250
     C: RSET
     S: 250`,
  );
  assert.match(await made.say('BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n'), /^530 5\.7\.0 .*\r\n250 /);
});

test('wants TLS first: no password in plaintext (538 5.7.11)', async () => {
  const made = harness('submission');
  await made.say('EHLO x');
  assert.match(await made.say(`AUTH PLAIN ${ALICE}`), /^538 5\.7\.11/);
  assert.match(await made.say('AUTH SCRAM-SHA-256'), /^538 5\.7\.11/);
  const loopback = harness('submission', { config: { insecureAuth: true } });
  await loopback.say('EHLO x');
  assert.match(await loopback.say(`AUTH PLAIN ${ALICE}`), /^235 2\.7\.0/);
});

test('PLAIN and LOGIN, with and without an initial response', async () => {
  const user = base64('alice@mail.localhost');
  const dialogues = [
    `C: AUTH plain ${ALICE}
     S: 235 2.7.0`,
    `C: AUTH PLAIN
     S: 334\x20
     C: ${ALICE}
     S: 235 2.7.0`,
    `C: AUTH LOGIN
     S: 334 VXNlcm5hbWU6
     C: ${user}
     S: 334 UGFzc3dvcmQ6
     C: ${base64(PASSWORD)}
     S: 235 2.7.0`,
    `C: AUTH LOGIN ${user}
     S: 334 UGFzc3dvcmQ6
     C: ${base64(PASSWORD)}
     S: 235 2.7.0`,
  ];
  for (const text of dialogues) {
    const made = secure();
    await made.say('EHLO x');
    await dialogue(made, text);
    await dialogue(made, 'C: AUTH LOGIN\nS: 503 5.5.1');
    assert.doesNotMatch(await made.say('EHLO again'), /AUTH/);
  }
});

test('what can not be a login is refused with the code of RFC 4954', async () => {
  const made = secure({ config: { errorsMax: 100 } });
  assert.match(await made.say(`AUTH PLAIN ${ALICE}`), /^503 5\.5\.1/);
  await made.say('EHLO x');
  await dialogue(
    made,
    `C: AUTH
     S: 501 5.5.4
     C: AUTH CRAM-MD5
     S: 504 5.5.4
     C: AUTH PLAIN ${base64(`\0alice@mail.localhost\0${PASSWORD.trim()}`)}
     S: 535 5.7.8
     C: AUTH PLAIN ${base64(`\0nobody@mail.localhost\0${PASSWORD}`)}
     S: 535 5.7.8
     C: AUTH PLAIN ${base64(`bob@mail.localhost\0alice@mail.localhost\0${PASSWORD}`)}
     S: 535 5.7.8
     C: AUTH PLAIN !!!!
     S: 501 5.5.2
     C: AUTH PLAIN AAA
     S: 501 5.5.2
     C: AUTH PLAIN =
     S: 501 5.5.2
     C: AUTH PLAIN x y
     S: 501 5.5.4
     C: AUTH PLAIN
     S: 334
     C: *
     S: 501 5.7.0
     C: AUTH PLAIN
     S: 334
     C: not base64
     S: 501 5.5.2
     C: AUTH LOGIN
     S: 334
     C: =AAA
     S: 501 5.5.2
     C: NOOP
     S: 250`,
  );
  await made.say('AUTH PLAIN');
  assert.match(await made.say('A'.repeat(12_287)), /^500 5\.5\.6/);
  await made.say('AUTH PLAIN');
  assert.match(await made.say(base64(`\0alice@mail.localhost\0${'p'.repeat(9000)}`)), /^535 5\.7\.8/);
});

test('not inside a transaction, and failures are errors that end the connection', async () => {
  const again = await loggedIn();
  await again.say('MAIL FROM:<>');
  assert.match(await again.say('AUTH LOGIN'), /^503 5\.5\.1/);
  const guess = `AUTH PLAIN ${base64('\0alice@mail.localhost\0wrong')}\r\n`;
  const made = secure({ config: { errorsMax: 3 } });
  await made.say('EHLO x');
  assert.match(await made.say(guess.repeat(5)), /^(535 5\.7\.8 .*\r\n){3}421 /);
});

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
    await dialogue(made, `C: AUTH SCRAM-SHA-256 ${first}\nS: 334 \nC: ${last}\nS: 334 dj0\nC: ${answer}\nS: ${reply}`);
    const sent = await made.say('MAIL FROM:<>');
    assert.equal(sent.startsWith('250'), answer === '', 'logged in only behind the answer');
  }
});

test('MAIL FROM belongs to the account, or is null', async () => {
  const made = await loggedIn();
  await dialogue(
    made,
    `C: MAIL FROM:<bob@mail.localhost>
     S: 553 5.7.1
     C: MAIL FROM:<alice@foreign.example>
     S: 553 5.7.1
     C: MAIL FROM:<ALICE@mail.localhost> AUTH=alice+40mail.localhost
     S: 250 2.1.0
     C: RSET
     S: 250
     C: MAIL FROM:<both@mail.localhost> AUTH=<>
     S: 250 2.1.0
     C: RSET
     S: 250
     C: MAIL FROM:<> AUTH=+xx
     S: 501 5.5.4
     C: MAIL FROM:<>
     S: 250 2.1.0
     C: RCPT TO:<someone@foreign.example>
     S: 550 5.7.1 This server does not send mail
     C: RCPT TO:<nobody@mail.localhost>
     S: 550 5.1.1`,
  );
  assert.equal(made.refused[0]!.phase, 'MAIL');
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
