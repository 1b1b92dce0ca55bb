/** Goal: a whole session gives the same replies and stores the same bytes in any chunking, and no input breaks it. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatAddress, normalizeAddress, parseAddress } from '../../core/mail/address.ts';
import { parseCommand, parsePathArgument } from '../../core/smtp/command.ts';
import { harness, PASSWORD } from '../support/smtp-harness.ts';

const LOGIN = Buffer.from(`\0alice@mail.localhost\0${PASSWORD}`).toString('base64');

/** Pieces of sessions: some right, some wrong, some hostile. */
const piece = fc.constantFrom(
  'EHLO x\r\n',
  'LHLO x\r\n',
  'HELO x\r\n',
  'NOOP\r\n',
  'RSET\r\n',
  'MAIL FROM:<a@b.example>\r\n',
  'MAIL FROM:<> SMTPUTF8 BODY=8BITMIME SIZE=10\r\n',
  'MAIL FROM:<alice@mail.localhost>\r\n',
  'RCPT TO:<alice@mail.localhost>\r\n',
  'RCPT TO:<both@mail.localhost>\r\n',
  'RCPT TO:<no@mail.localhost>\r\n',
  'RCPT TO:<"a\\"b>@x\r\n',
  'DATA\r\n',
  'Subject: x\r\n',
  'Return-Path: <x@y>\r\nX: y\r\n\tz\r\n',
  '\r\n',
  '.\r\n',
  '..\r\n',
  'text\n.\n',
  '\r.\r\n',
  'BDAT 6 LAST\r\nQUIT\r\n',
  'BDAT 4\r\n\r\n\r\n',
  'BDAT 0 LAST\r\n',
  `AUTH PLAIN ${LOGIN}\r\n`,
  `AUTH PLAIN\r\n${LOGIN}\r\n`,
  'AUTH SCRAM-SHA-256\r\n*\r\n',
  'VRFY x\r\n',
  '\0\xff\xfe\r\n',
  'GARBAGE IN THE WAY\r\n',
);

async function play(kind: 'smtp' | 'lmtp' | 'submission', chunks: readonly Buffer[]): Promise<unknown> {
  const made = harness(kind, { tls: kind === 'submission', config: { errorsMax: 15, sizeBytesMax: 200 } });
  made.engine.start();
  for (const chunk of chunks) await made.engine.feed(chunk);
  return {
    replies: made.wire.take(),
    closed: made.wire.closed,
    accepted: made.accepted,
    stored: [...made.stored].map(([ref, bytes]) => [ref, bytes.toString('latin1')]),
    refused: made.refused,
    failures: made.logged.filter((line) => line.startsWith('command failed') || line.startsWith('connection failed')),
  };
}

test('a session is the same in any chunking', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom('smtp' as const, 'lmtp' as const, 'submission' as const),
      fc.array(piece, { maxLength: 25 }),
      fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 8 }),
      async (kind, parts, sizes) => {
        const opening = kind === 'lmtp' ? 'LHLO x\r\n' : 'EHLO x\r\n';
        const session = Buffer.from(opening + parts.join(''), 'latin1');
        const chunks: Buffer[] = [];
        for (let at = 0, i = 0; at < session.length; i++) {
          const size = sizes[i % sizes.length]!;
          chunks.push(session.subarray(at, at + size));
          at += size;
        }
        const whole = (await play(kind, [session])) as { failures: string[] };
        assert.deepEqual(await play(kind, chunks), whole);
        assert.deepEqual(whole.failures, [], 'no step threw');
      },
    ),
    { numRuns: 400 },
  );
});

test('every reply line has a code of the phase and ends with CRLF', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 25 }), async (parts) => {
      const made = harness('smtp', { config: { errorsMax: 15 } });
      const replies = await made.say(Buffer.from(`EHLO x\r\n${parts.join('')}`, 'latin1'));
      assert.match(replies, /^(?:[2345]\d\d[ -][^\r\n]*\r\n)*$/);
    }),
    { numRuns: 200 },
  );
});

/** Text in which addresses and what breaks them are likely. */
const path = fc
  .array(
    fc.constantFrom(
      'a',
      'B',
      '"',
      '\\',
      '@',
      '.',
      ' ',
      '<',
      '>',
      ':',
      ',',
      '[',
      ']',
      'IPv6:',
      '1',
      'ü',
      '+',
      '%',
      '\r',
      '\0',
      '\u{1f4e7}',
      'x.example',
    ),
    {
      maxLength: 20,
    },
  )
  .map((parts) => parts.join(''));

test('the address parser never throws, and what it reads is written and read again', () => {
  fc.assert(
    fc.property(path, fc.boolean(), (text, smtputf8) => {
      const address = parseAddress(text, { smtputf8 });
      if (address === null) return;
      const shown = formatAddress(address);
      assert.deepEqual(parseAddress(shown, { smtputf8 }), address);
      assert.doesNotMatch(shown, /[\0\r\n]/);
      assert.equal(normalizeAddress(parseAddress(shown, { smtputf8: true })!), normalizeAddress(address));
      if (!smtputf8) assert.match(shown, /^[\x20-\x7e]*$/);
    }),
    { numRuns: 5000 },
  );
});

test('every local part can be written in a path and is read back from a command', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: fc.integer({ min: 32, max: 126 }).map((code) => String.fromCharCode(code)), maxLength: 60 }),
      (localPart) => {
        const shown = formatAddress({ localPart, domain: 'x.example' });
        const { verb, argument } = parseCommand(`MAIL FROM:<${shown}> SIZE=1`);
        assert.equal(verb, 'MAIL');
        const parsed = parsePathArgument(argument, 'FROM:');
        assert.equal(parsed?.path, shown);
        assert.deepEqual([...parsed!.parameters], [['SIZE', '1']]);
        assert.deepEqual(parseAddress(shown, { smtputf8: false }), { localPart, domain: 'x.example' });
      },
    ),
    { numRuns: 2000 },
  );
});
