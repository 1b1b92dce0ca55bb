/** Goal: a message is stored byte for byte and answered 250 only in custody; a wrong one is refused in step. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ClientError, TemporaryError } from '../../core/mail/errors.ts';
import type { SmtpKind } from '../../core/smtp/environment.ts';
import { type Harness, type HarnessOptions, harness, memoryWriter } from '../support/smtp-harness.ts';

/** In a transaction for alice. */
async function addressed(kind: SmtpKind = 'smtp', options: HarnessOptions = {}, to = ['alice']): Promise<Harness> {
  const made = harness(kind, options);
  await made.say(`${kind === 'lmtp' ? 'LHLO' : 'EHLO'} client.example\r\nMAIL FROM:<a@b.example>`);
  for (const name of to) await made.say(`RCPT TO:<${name}@mail.localhost>`);
  return made;
}

async function send(to: Harness, message: string): Promise<string> {
  assert.match(await to.say('DATA'), /^354 /);
  return to.say(`${message}.\r\n`);
}

test('stores the bytes as they came, stuffed dots taken off', async () => {
  const smtp = await addressed();
  const reply = await send(smtp, 'Subject: x\r\n\r\n..\r\n...a\r\nb.\r\n\r\n\xff\x00\x01\r\n');
  assert.equal(reply, `250 2.0.0 Accepted ${smtp.accepted[0]!.queueId}\r\n`);
  assert.equal(smtp.message(), 'Subject: x\r\n\r\n.\r\n..a\r\nb.\r\n\r\n\u00c3\u00bf\x00\x01\r\n');
});

test('takes an empty message, and one without a header', async () => {
  const empty = await addressed();
  assert.match(await send(empty, ''), /^250/);
  assert.equal(empty.message(), '');
  const body = await addressed();
  assert.match(await send(body, '\r\nReturn-Path: <x>\r\n'), /^250/);
  assert.deepEqual(body.accepted[0]!.removed, []);
});

test('what the custody record says', async () => {
  const smtp = await addressed('smtp', {}, ['alice+tag', 'both']);
  const header = [
    'Return-Path: <forged@x.example>\r\n',
    'Received: from a by b; Mon, 1 Jan 2024 00:00:00 +0000\r\n',
    'Authentication-Results: other.example; spf=fail\r\n',
    'authentication-results : (comment (nested)) "MAIL.localhost" 1;\r\n spf=pass\r\n',
    'X-MailMesh-Spam: no\r\n',
    'Message-ID:\r\n <one@x.example>\r\n',
    'Subject: =?utf-8?q?h=C3=A9llo?=\r\n',
    'RETURN-PATH: <again@x.example>\r\n',
  ];
  await send(smtp, `${header.join('')}\r\nbody\r\n`);
  const message = smtp.accepted[0]!;
  const kept = [...message.removed]
    .reverse()
    .reduce((text, [start, end]) => text.slice(0, start) + text.slice(end), smtp.message());
  assert.equal(kept, `${[1, 2, 5, 6].map((i) => header[i]).join('')}\r\nbody\r\n`);
  assert.equal(message.messageId, '<one@x.example>');
  assert.equal(message.subject, 'héllo');
  assert.equal(message.size, smtp.message().length);
  assert.equal(message.envelope.sender, 'a@b.example');
  assert.deepEqual(
    message.envelope.recipients.map(({ account, subaddress }) => `${account.slice(0, 3)}+${subaddress}`),
    ['ali+tag', 'ali+', 'bob+'],
  );
});

test('writes one Received field, with its one recipient and within 78 columns', async () => {
  const smtp = await addressed('smtp', { tls: true });
  await send(smtp, 'A: b\r\n\r\n');
  const { queueId, headers } = smtp.accepted[0]!;
  assert.equal(
    headers,
    'Received: from client.example ([192.0.2.7]) by mail.localhost with ESMTPS\r\n' +
      ` (TLSv1.3 TLS_AES_256_GCM_SHA384) id ${queueId}\r\n` +
      ' for <alice@mail.localhost>; Mon, 21 Sep 2026 14:13:20 +0000\r\n',
  );
  const two = await addressed('smtp', {}, ['alice', 'bob']);
  await send(two, 'A: b\r\n\r\n');
  assert.doesNotMatch(two.accepted[0]!.headers, / for /);
  const same = await addressed('smtp', {}, ['alice', 'alice']);
  await send(same, 'A: b\r\n\r\n');
  assert.match(same.accepted[0]!.headers, / for <alice@mail\.localhost>;/);
});

test('names the transmission type as RFC 3848 and RFC 6531 do', async () => {
  const cases: readonly (readonly [kind: SmtpKind, hello: string, tls: boolean, parameter: string, word: string])[] = [
    ['smtp', 'HELO', false, '', 'SMTP'],
    ['smtp', 'EHLO', false, '', 'ESMTP'],
    ['smtp', 'EHLO', true, '', 'ESMTPS'],
    ['smtp', 'EHLO', true, ' SMTPUTF8', 'UTF8SMTPS'],
    ['lmtp', 'LHLO', false, '', 'LMTP'],
    ['lmtp', 'LHLO', true, '', 'LMTPS'],
    ['lmtp', 'LHLO', false, ' SMTPUTF8', 'UTF8LMTP'],
  ];
  for (const [kind, hello, tls, parameter, word] of cases) {
    const made = harness(kind, { tls });
    await made.say(`${hello} x\r\nMAIL FROM:<>${parameter}\r\nRCPT TO:<postmaster>\r\nDATA\r\n.\r\n`);
    assert.equal(made.accepted[0]?.client.protocol, word);
    assert.match(made.accepted[0]!.headers, new RegExp(`with ${word}\\b`));
    assert.match(made.accepted[0]!.headers.replace(/\r\n /g, ' '), /for <postmaster@mail\.localhost>;/);
  }
});

test('250 comes behind custody, never before', async () => {
  const order: string[] = [];
  const custody = Promise.withResolvers<void>();
  const smtp = await addressed('smtp', {
    env: {
      custody: async () => {
        order.push('custody asked for');
        await custody.promise;
        order.push('custody taken');
      },
    },
  });
  await smtp.say('DATA');
  const answered = smtp.say('A: b\r\n\r\n.\r\n').then((reply) => order.push(reply.slice(0, 3)));
  for (let i = 0; i < 50; i++) await Promise.resolve();
  assert.deepEqual(smtp.wire.writes, []);
  assert.deepEqual(order, ['custody asked for']);
  custody.resolve();
  await answered;
  assert.deepEqual(order, ['custody asked for', 'custody taken', '250']);
});

test('duplicates: SMTP delivers once, LMTP replies for each RCPT it accepted (RFC 2033 §4.2)', async () => {
  const lmtp = await addressed('lmtp', {}, ['alice', 'nobody', 'full', 'alice', 'bob']);
  const reply = await send(lmtp, 'A: b\r\n\r\n');
  const { queueId, envelope } = lmtp.accepted[0]!;
  assert.deepEqual(
    reply.split('\r\n').slice(0, -1),
    ['alice', 'alice', 'bob'].map((name) => `250 2.0.0 <${name}@mail.localhost> Accepted ${queueId}`),
  );
  assert.equal(envelope.recipients.length, 2);
});

test('bare CR and LF end nothing, and the message is refused at its true end', async () => {
  const smuggled = 'MAIL FROM:<evil@x.example>\r\nRCPT TO:<bob@mail.localhost>\r\nDATA\r\nA: evil\r\n\r\n';
  for (const end of [
    '\n.\n',
    '\n.\r\n',
    '\r\n.\n',
    '\r.\r',
    '\r.\r\n',
    '\r\n.\r',
    '\n.\r',
    '\r\r\n.\r\r\n',
    '\r\n\0.\r\n\n',
    '\n\n.\r\r\n',
  ]) {
    const smtp = await addressed();
    await smtp.say('DATA');
    const replies = await smtp.say(`A: b\r\n\r\nhello${end}${smuggled}`);
    assert.equal(replies, '', JSON.stringify(end));
    assert.match(await smtp.say('.\r\nNOOP\r\n'), /^554 5\.5\.0 .*\r\n250 2\.0\.0 OK\r\n$/, JSON.stringify(end));
    assert.deepEqual(smtp.accepted, []);
    assert.equal(smtp.refused.length, 1);
    assert.equal(smtp.open.size, 0, 'nothing is left half written');
  }
});

test('a message over the limit is swallowed and refused; the next one is not', async () => {
  const smtp = await addressed();
  await smtp.say('DATA');
  assert.equal(await smtp.say(`Message-ID: <big@x>\r\n\r\n${'x'.repeat(100_000)}\r\n`), '');
  assert.equal(smtp.open.size, 0);
  assert.match(await smtp.say(`${'y'.repeat(1000)}\r\n.\r\n`), /^552 5\.3\.4/);
  assert.equal(smtp.refused[0]!.messageId, '<big@x>');
  await smtp.say('MAIL FROM:<a@b.example>\r\nRCPT TO:<bob@mail.localhost>\r\nDATA\r\n');
  assert.match(await smtp.say('A: b\r\n\r\n.\r\n'), /^250/);
  const exact = await addressed();
  assert.match(await send(exact, `\r\n${'x'.repeat(99_996)}\r\n`), /^250/);
});

test('header sections have limits, bodies have none but the size', async () => {
  const long = await addressed();
  assert.match(await send(long, `A: ${'x'.repeat(30_000)}\r\n\r\nbody\r\n`), /^552 5\.3\.4 Header/);
  const many = await addressed();
  assert.match(await send(many, `${'A: b\r\n'.repeat(501)}\r\nbody\r\n`), /^552 5\.3\.4 Header/);
  const body = await addressed();
  assert.match(await send(body, `A: b\r\n\r\n${'x'.repeat(90_000)}\r\n`), /^250/);
});

test('trouble of the stores is temporary, says what it is, and keeps the stream in step', async () => {
  const full = Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
  const sqliteFull = new Error('not written', { cause: Object.assign(new Error('disk is full'), { errcode: 13 }) });
  const cases: readonly (readonly [error: unknown, reply: RegExp])[] = [
    [full, /^452 4\.3\.1/],
    [sqliteFull, /^452 4\.3\.1/],
    [new TemporaryError('diskFull'), /^452 4\.3\.1/],
    [new Error('EIO'), /^451 4\.3\.0 Mail system/],
    ['not even an error', /^451 4\.3\.0 Mail system/],
    [new ClientError('mailboxUnknown'), /^550 5\.1\.1/],
  ];
  for (const [error, reply] of cases) {
    const stored = new Map<string, Buffer>();
    const good = (): ReturnType<typeof memoryWriter> => memoryWriter(stored, new Set());
    const fail = (): Promise<never> => Promise.reject(error);
    const places: readonly HarnessOptions['env'][] = [
      { custody: fail },
      { blobs: { writer: () => ({ ...good(), commit: fail }) } },
      { blobs: { writer: () => ({ ...good(), write: fail }) } },
      {
        blobs: {
          writer: () => {
            throw error;
          },
        },
      },
    ];
    for (const env of places) {
      const smtp = await addressed('smtp', { env: env! });
      await smtp.say('DATA');
      assert.equal(await smtp.say('A: b\r\n\r\nQUIT\r\nbody\r\n'), '');
      assert.match(
        await smtp.say('more\r\n.\r\nNOOP\r\n'),
        new RegExp(`${reply.source}.*\\r\\n250 2\\.0\\.0 OK\\r\\n$`),
      );
      assert.deepEqual(smtp.accepted, []);
      assert.equal(smtp.wire.closed, false);
      assert.equal(smtp.refused.length, 1);
    }
  }
});

test('BDAT: a last chunk of no octets ends it, and chunks may be cut anywhere', async () => {
  const smtp = await addressed();
  await smtp.say('BDAT 5\r\nA: b\r');
  await smtp.say('BDAT 3\r\n\n\r\n');
  assert.match(await smtp.say('BDAT 0 LAST\r\nNOOP\r\n'), /^250 2\.0\.0 Accepted .*\r\n250 2\.0\.0 OK\r\n$/);
  assert.equal(smtp.message(), 'A: b\r\n\r\n');
});

test('BDAT: a length that can not be read ends the connection, so no octet of it becomes a command', async () => {
  for (const argument of ['', 'x', '-1', '99999999999999999', '1x LAST']) {
    const smtp = await addressed();
    assert.match(await smtp.say(`BDAT ${argument}\r\nMAIL FROM:<evil@x.example>\r\n`), /^501 5\.5\.4 [^\n]*\r\n$/);
    assert.equal(smtp.wire.closed, true);
  }
});

test('a loop is seen in any spelling of the address', async () => {
  assert.match(await send(await addressed(), 'Delivered-To: <"alice"@Mail.Localhost>\r\n\r\n'), /^554 5\.4\.6/);
  assert.match(await send(await addressed(), 'Delivered-To: bob@mail.localhost\r\n\r\n'), /^250/);
});

test('BDAT: a CR at the end is bare, and a chunk over the limit is swallowed', async () => {
  const cr = await addressed();
  assert.match(await cr.say('BDAT 4 LAST\r\nabc\r'), /^554 5\.5\.0/);
  const big = await addressed();
  assert.match(await big.say(`BDAT 200000\r\n${'x'.repeat(200_000)}NOOP\r\n`), /^552 5\.3\.4 .*\r\n250 /);
  assert.equal(big.open.size, 0);
});
