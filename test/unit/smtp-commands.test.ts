/** Goal: every command is read exactly as its RFC writes it and answered with the code that the RFC names. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SmtpKind } from '../../core/smtp/environment.ts';
import { dialogue } from './smtp-dialogue.ts';
import { type Harness, type HarnessOptions, harness } from './smtp-harness.ts';

/** After the greeting and EHLO. */
async function greeted(kind: SmtpKind = 'smtp', options: HarnessOptions = {}): Promise<Harness> {
  const made = harness(kind, options);
  made.engine.start();
  await made.say(`${kind === 'lmtp' ? 'LHLO' : 'EHLO'} client.example`);
  return made;
}

test('greets, and offers what is complete', async () => {
  const smtp = harness('smtp');
  smtp.engine.start();
  assert.equal(smtp.wire.take(), '220 mail.localhost ESMTP Mailmesh\r\n');
  await dialogue(
    smtp,
    `C: EHLO client.example
     S: 250-mail.localhost
     S: 250-PIPELINING
     S: 250-SIZE 100000
     S: 250-8BITMIME
     S: 250-SMTPUTF8
     S: 250-ENHANCEDSTATUSCODES
     S: 250-CHUNKING
     S: 250 STARTTLS
     C: HELO client.example
     S: 250 mail.localhost`,
  );
});

test('offers AUTH for submission, and only where a password may be sent', async () => {
  assert.doesNotMatch(await harness('submission').say('EHLO x'), /AUTH/);
  assert.match(await harness('submission', { tls: true }).say('EHLO x'), /AUTH SCRAM-SHA-256 PLAIN LOGIN\r\n$/);
  assert.match(await harness('submission', { config: { insecureAuth: true } }).say('EHLO x'), /AUTH .*LOGIN/);
  assert.doesNotMatch(await harness('smtp', { tls: true }).say('EHLO x'), /AUTH|STARTTLS/);
});

test('LMTP has LHLO and neither HELO nor EHLO; SMTP the other way round (RFC 2033 §4.1)', async () => {
  await dialogue(
    harness('lmtp'),
    `C: EHLO x
     S: 500 5.5.2
     C: HELO x
     S: 500 5.5.2
     C: MAIL FROM:<a@b>
     S: 503 5.5.1
     C: HELP
     S: 214 2.0.0`,
  );
  await dialogue(harness('smtp'), 'C: LHLO x\nS: 500 5.5.2');
});

test('takes domains and address literals as names, and nothing that could leave the Received field', async () => {
  for (const name of ['x', 'a-b.c', 'a_b.example', '[192.0.2.1]', '[IPv6:::1]', 'x.example.'])
    assert.match(await harness('smtp').say(`EHLO ${name}`), /^250/, name);
  for (const name of ['', ' ', 'a b', '(x)', 'a;b', '-x', '[1.2]', 'a\nb', 'x'.repeat(256), 'ü.example'])
    assert.match(await harness('smtp').say(`EHLO ${name}\r\n`), /^50[01] 5/, name);
});

test('wants commands in order (RFC 5321 §4.1.4)', async () => {
  await dialogue(
    harness('smtp'),
    `C: MAIL FROM:<a@b.example>
     S: 503 5.5.1
     C: RCPT TO:<alice@mail.localhost>
     S: 503 5.5.1
     C: DATA
     S: 503 5.5.1
     C: RSET
     S: 250 2.0.0
     C: NOOP
     S: 250 2.0.0
     C: VRFY alice
     S: 252 2.0.0
     C: HELO x
     S: 250 mail.localhost
     C: RCPT TO:<alice@mail.localhost>
     S: 503 5.5.1
     C: MAIL FROM:<a@b.example>
     S: 250 2.1.0
     C: MAIL FROM:<a@b.example>
     S: 503 5.5.1
     C: DATA
     S: 503 5.5.1
     C: RCPT TO:<nobody@mail.localhost>
     S: 550 5.1.1
     C: DATA
     S: 554 5.5.1
     C: RSET
     S: 250 2.0.0
     C: RCPT TO:<alice@mail.localhost>
     S: 503 5.5.1`,
  );
});

test('EHLO ends a transaction', async () => {
  const smtp = await greeted();
  await smtp.say('MAIL FROM:<a@b.example>\r\nRCPT TO:<alice@mail.localhost>\r\nEHLO again.example\r\n');
  assert.match(await smtp.say('DATA'), /^503 5\.5\.1/);
});

test('MAIL takes its parameters exactly', async () => {
  const accepted = [
    'FROM:<a@b.example>',
    'from:<a@b.example>',
    'FROM:<>',
    'FROM:<"a b"@x.example>',
    'FROM:<"a>b"@x.example> SIZE=1',
    'FROM:<@r.example:a@b.example>',
    'FROM:<a@b.example> SIZE=100000',
    'FROM:<a@b.example> size=0 body=7bit',
    'FROM:<a@b.example> BODY=8BITMIME SMTPUTF8 SIZE=5',
    'FROM:<ünï@b.example> SMTPUTF8',
    'FROM:<a@bücher.example> SMTPUTF8',
    'FROM:<a@b.example>  ',
    `FROM:<${'l'.repeat(80)}@b.example>`,
  ];
  for (const argument of accepted)
    assert.match(await (await greeted()).say(`MAIL ${argument}`), /^250 2\.1\.0/, argument);
  const refused: readonly (readonly [argument: string, reply: string])[] = [
    ['', '501 5.5.4'],
    ['FROM', '501 5.5.4'],
    ['FROM:', '501 5.5.4'],
    ['FROM:a@b.example', '501 5.5.4'],
    ['FROM: <a@b.example>', '501 5.5.4'],
    ['FROM :<a@b.example>', '501 5.5.4'],
    ['TO:<a@b.example>', '501 5.5.4'],
    ['FROM:<a@b.example', '501 5.5.4'],
    ['FROM:<a@b.example>SIZE=1', '501 5.5.4'],
    ['FROM:<a@b.example> SIZE', '501 5.5.4'],
    ['FROM:<a@b.example> SIZE=', '501 5.5.4'],
    ['FROM:<a@b.example> SIZE=1x', '501 5.5.4'],
    ['FROM:<a@b.example> SIZE=1 SIZE=1', '501 5.5.4'],
    ['FROM:<a@b.example> SIZE=123456789012345678901', '501 5.5.4'],
    ['FROM:<a@b.example>  SIZE=1', '501 5.5.4'],
    ['FROM:<a@b.example> BODY=9BIT', '501 5.5.4'],
    ['FROM:<a@b.example> BODY', '501 5.5.4'],
    ['FROM:<a@b.example> SMTPUTF8=1', '501 5.5.4'],
    ['FROM:<a@b.example> -X=1', '501 5.5.4'],
    ['FROM:<a@b.example> X=a=b', '501 5.5.4'],
    ['FROM:<a@b.example> BODY=BINARYMIME', '555 5.5.4'],
    ['FROM:<a@b.example> UNKNOWN', '555 5.5.4'],
    ['FROM:<a@b.example> RET=HDRS', '555 5.5.4'],
    ['FROM:<a@b.example> AUTH=<>', '555 5.5.4'],
    ['FROM:<a@b.example> SIZE=100001', '552 5.3.4'],
    ['FROM:<a@b.example> SIZE=99999999999999999999', '552 5.3.4'],
    ['FROM:<postmaster>', '501 5.1.7'],
    ['FROM:<a>', '501 5.1.7'],
    ['FROM:<a@b@c>', '501 5.1.7'],
    ['FROM:< >', '501 5.1.7'],
    ['FROM:<ünï@b.example>', '550 5.6.7'],
  ];
  for (const [argument, reply] of refused) {
    const answer = await (await greeted()).say(`MAIL ${argument}`);
    assert.ok(answer.startsWith(reply), `MAIL ${argument}: expected ${reply}, got ${answer}`);
  }
});

test('RCPT says for each address why it is refused, and relays in no syntax', async () => {
  const smtp = await greeted();
  const answers: readonly (readonly [argument: string, reply: string])[] = [
    ['TO:<alice@mail.localhost>', '250 2.1.5'],
    ['TO:<ALICE@MAIL.LOCALHOST>', '250 2.1.5'],
    ['TO:<alice+tag@mail.localhost>', '250 2.1.5'],
    ['TO:<"alice"@mail.localhost>', '250 2.1.5'],
    ['TO:<"a b"@mail.localhost>', '250 2.1.5'],
    ['TO:<@foreign.example:alice@mail.localhost>', '250 2.1.5'],
    ['TO:<Postmaster>', '250 2.1.5'],
    ['TO:<nobody@mail.localhost>', '550 5.1.1'],
    ['TO:<full@mail.localhost>', '452 4.2.2'],
    ['TO:<a@foreign.example>', '550 5.7.1'],
    ['TO:<@mail.localhost:a@foreign.example>', '550 5.7.1'],
    ['TO:<a%foreign.example@mail.localhost>', '550 5.1.1'],
    ['TO:<foreign.example!a@mail.localhost>', '550 5.1.1'],
    ['TO:<"a@foreign.example"@mail.localhost>', '550 5.1.1'],
    ['TO:<mail.localhost!a@foreign.example>', '550 5.7.1'],
    ['TO:<"alice@mail.localhost"@foreign.example>', '550 5.7.1'],
    ['TO:<alice@[127.0.0.1]>', '550 5.7.1'],
    ['TO:<alice@mail.localhost@foreign.example>', '501 5.1.3'],
    ['TO:<alice>', '501 5.1.3'],
    ['TO:<>', '501 5.1.3'],
    ['TO:alice@mail.localhost', '501 5.5.4'],
    ['TO:<alice@mail.localhost> NOTIFY=NEVER', '555 5.5.4'],
    ['TO:<alice@mail.localhost> X=\u007f', '501 5.5.4'],
    ['TO:<ünï@mail.localhost>', '553 5.6.7'],
  ];
  for (const [argument, reply] of answers) {
    await smtp.say('RSET\r\nMAIL FROM:<a@b.example>');
    const answer = await smtp.say(`RCPT ${argument}`);
    assert.ok(answer.startsWith(reply), `RCPT ${argument}: expected ${reply}, got ${answer}`);
  }
  await dialogue(
    smtp,
    'C: RSET\nC: MAIL FROM:<> SMTPUTF8\nC: RCPT TO:<ünï@mail.localhost>\nS: 250\nS: 250\nS: 250 2.1.5',
  );
});

test('refusals are kept for traces, each with its phase and reply', async () => {
  const smtp = await greeted();
  await smtp.say(
    'MAIL FROM:<a@b.example> SIZE=100001\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<nobody@mail.localhost>\r\n',
  );
  assert.deepEqual(
    smtp.refused.map(({ phase, sender, recipients, reply }) => ({ phase, sender, recipients, reply })),
    [
      { phase: 'MAIL', sender: 'a@b.example', recipients: [], reply: '552 5.3.4 Message exceeds the size limit' },
      {
        phase: 'RCPT',
        sender: 'a@b.example',
        recipients: ['nobody@mail.localhost'],
        reply: '550 5.1.1 No such mailbox here',
      },
    ],
  );
  assert.equal(new Set(smtp.refused.map(({ queueId }) => queueId)).size, 2);
});

test('words behind commands that take none are refused, blanks are not (RFC 5321 §4.1.1)', async () => {
  await dialogue(
    await greeted(),
    `C: DATA now
     S: 501 5.5.4
     C: RSET x
     S: 501 5.5.4
     C: STARTTLS x
     S: 501 5.5.4
     C: QUIT x
     S: 501 5.5.4
     C: NOOP anything
     S: 250 2.0.0
     C: rset\x20\x20
     S: 250 2.0.0
     C: VRFY
     S: 501 5.5.4
     C: VRFY alice@mail.localhost SMTPUTF8
     S: 252 2.0.0
     C: EXPN list
     S: 502 5.5.1
     C: AUTH PLAIN AGEAYg==
     S: 500 5.5.2
     C: quit
     S: 221 2.0.0`,
  );
});

test('lines end at CRLF only, and have limits (RFC 5321 §2.3.8, §4.5.3.1.4)', async () => {
  const smtp = await greeted();
  const answer = async (text: string, expected: RegExp): Promise<void> =>
    assert.match(await smtp.say(text), expected, JSON.stringify(text.slice(0, 40)));
  await answer('NOOP\nNOOP\r\n', /^500 5\.5\.2 [^\n]*\r\n$/);
  await answer('NOOP\rNOOP\r\n', /^500 5\.5\.2 [^\n]*\r\n$/);
  await answer('NOOP\0\r\n', /^500 5\.5\.2/);
  await answer(`NOOP ${'x'.repeat(505)}\r\n`, /^250/);
  await answer(`NOOP ${'x'.repeat(506)}\r\n`, /^500 5\.5\.2 Line too long/);
  await answer(`NOOP ${'x'.repeat(100_000)}\r\nNOOP\r\n`, /^500 5\.5\.2 Line too long\r\n250 2\.0\.0 OK\r\n$/);
  assert.equal(await smtp.say(Buffer.from('NOO')), '');
  assert.match(await smtp.say('P\r\n'), /^250/);
  assert.match(await smtp.say(Buffer.from('NOOP \xff\r\n', 'latin1')), /^500 5\.5\.2/);
  await answer('\r\n', /^500 5\.5\.2/);
});

test('asks for no more recipients than the limit', async () => {
  const smtp = await greeted('smtp', { config: { recipientsMax: 2 } });
  await dialogue(
    smtp,
    `C: MAIL FROM:<a@b.example>
     C: RCPT TO:<alice@mail.localhost>
     C: RCPT TO:<bob@mail.localhost>
     C: RCPT TO:<both@mail.localhost>
     S: 250
     S: 250
     S: 250
     S: 452 4.5.3`,
  );
});

test('somebody who guesses addresses is cut off; a front server is not', async () => {
  const guess = 'RCPT TO:<nobody@mail.localhost>\r\n'.repeat(5);
  const smtp = await greeted('smtp', { config: { recipientsMax: 3 } });
  await smtp.say('MAIL FROM:<a@b.example>');
  assert.match(await smtp.say(guess), /^(550 .*\r\n){4}421 4\.7\.0 .*\r\n$/);
  assert.equal(smtp.wire.closed, true);
  const lmtp = await greeted('lmtp', { config: { recipientsMax: 3 } });
  await lmtp.say('MAIL FROM:<a@b.example>');
  assert.match(await lmtp.say(guess), /^(550 .*\r\n){5}$/);
});

test('too many errors and too many commands end the connection', async () => {
  const errors = await greeted('smtp', { config: { errorsMax: 3 } });
  assert.match(await errors.say('X\r\nY\r\nZ\r\nNOOP\r\n'), /^(500 .*\r\n){3}421 4\.7\.0 Too many errors.*\r\n$/);
  assert.equal(errors.wire.closed, true);
  const commands = await greeted('smtp', { config: { commandsMax: 4 } });
  assert.match(await commands.say('NOOP\r\n'.repeat(9)), /^(250 .*\r\n){3}421 4\.7\.0 Too many commands.*\r\n$/);
});

test('a browser and a TLS client are answered and cut off at once', async () => {
  const http = harness('smtp');
  assert.match(await http.say('GET / HTTP/1.1\r\nHost: x\r\nMAIL FROM:<a@b>\r\n'), /^500 .*\r\n421 .*\r\n$/);
  assert.equal(http.wire.closed, true);
  const tls = harness('smtp');
  assert.match(await tls.say(Buffer.from('160301020001', 'hex')), /^500 .*\r\n421 .*\r\n$/);
  assert.equal(tls.wire.closed, true);
});

test('a directory that fails is a temporary trouble, a bug ends the connection', async () => {
  const fails = (error: Error): HarnessOptions => ({ env: { resolveRecipient: () => Promise.reject(error) } });
  const down = await greeted('smtp', fails(new Error('database is locked')));
  await down.say('MAIL FROM:<a@b.example>');
  assert.match(await down.say('RCPT TO:<alice@mail.localhost>\r\nNOOP\r\n'), /^451 4\.3\.0 .*\r\n250 /);
  const bug = await greeted('smtp', fails(new TypeError('x is not a function')));
  await bug.say('MAIL FROM:<a@b.example>');
  assert.match(await bug.say('RCPT TO:<alice@mail.localhost>\r\nNOOP\r\n'), /^451 4\.3\.0 Internal error\r\n$/);
  assert.equal(bug.wire.closed, true);
  assert.match(bug.logged.join('\n'), /TypeError: x is not a function/);
});
