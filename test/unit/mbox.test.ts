/** mbox files: what parts messages, quoting, and that writing and reading give the same bytes back in any chunking. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { headerDate, headerFlags } from '../../bin/mail/header-facts.ts';
import { separatorDate } from '../../bin/mail/mbox-line.ts';
import { NotMbox, type Quoting, readMbox } from '../../bin/mail/mbox-read.ts';
import { separatorLine, writeMbox } from '../../bin/mail/mbox-write.ts';
import { HeaderPeek, withCrlf } from '../../bin/mail/message-stream.ts';

async function* chunks(bytes: Buffer, sizes: readonly number[] = []): AsyncGenerator<Uint8Array> {
  let at = 0;
  for (let i = 0; at < bytes.length; i++) {
    const size = sizes.length === 0 ? bytes.length : sizes[i % sizes.length]!;
    // A copy, as from a socket that reuses its memory.
    yield Buffer.from(bytes.subarray(at, at + size));
    at += size;
  }
}

async function gather(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of stream) pieces.push(Buffer.from(piece));
  return Buffer.concat(pieces);
}

async function read(
  text: string | Buffer,
  sizes: readonly number[] = [],
  quoting: Quoting = 'mboxrd',
): Promise<string[]> {
  const messages: string[] = [];
  for await (const message of readMbox(chunks(Buffer.from(text), sizes), { quoting }))
    messages.push((await gather(message.bytes)).toString('latin1'));
  return messages;
}

const FROM = 'From a@b Tue Jan  2 03:04:05 2029\n';

test('messages are parted at separator lines, and the blank line before one is not of the message', async () => {
  assert.deepEqual(await read(`${FROM}A: 1\n\none\n\n${FROM}A: 2\n\ntwo\n\n\n${FROM}A: 3\n\nthree`), [
    'A: 1\n\none\n',
    'A: 2\n\ntwo\n\n',
    'A: 3\n\nthree',
  ]);
});

test('the same with CRLF', async () => {
  const text = `${FROM}A: 1\n\none\n\n${FROM}A: 2\n\ntwo\n`.replaceAll('\n', '\r\n');
  assert.deepEqual(await read(text), ['A: 1\r\n\r\none\r\n', 'A: 2\r\n\r\ntwo\r\n']);
});

test('prose that begins with From is text, with and without a blank line before it', async () => {
  const text = 'A: 1\n\nFrom here on it is easy.\nFrom then to now\n\nFrom me: at 10:00\n';
  assert.deepEqual(await read(FROM + text), [text]);
});

test('separator lines of several programs', async () => {
  for (const line of [
    'From - Tue Jan 02 03:04:05 2029',
    'From 1234567890@xxx Tue Jan 02 03:04:05 +0000 2029',
    'From MAILER-DAEMON Tue Jan  2 03:04:05 2029',
    'From a@b Tue, 2 Jan 2029 03:04:05 GMT',
    'From a@b  Tue Jan 2 03:04:05 UTC 2029',
  ]) {
    assert.equal(separatorDate(line), Date.UTC(2029, 0, 2, 3, 4, 5) / 1000, line);
    assert.equal((await read(`${line}\nA: 1\n\nx\n\n${line}\nA: 2\n\n`)).length, 2, line);
  }
  assert.equal((await read('From -\nA: 1\n\nx\n\nFrom \nA: 2\n\n')).length, 2);
  assert.equal(separatorDate('From a@b Tue Jan 02 05:04:05 +0200 2029'), Date.UTC(2029, 0, 2, 3, 4, 5) / 1000);
});

test('quoting is taken off: every level of mboxrd, the first of mboxo', async () => {
  const text = `${FROM}A: 1\n\n>From a\n>>From b\n> From c\n>Frommage\n`;
  assert.deepEqual(await read(text), ['A: 1\n\nFrom a\n>From b\n> From c\n>Frommage\n']);
  assert.deepEqual(await read(text, [], 'mboxo'), ['A: 1\n\nFrom a\n>>From b\n> From c\n>Frommage\n']);
});

test('a file that is no mbox is refused, an empty one holds nothing', async () => {
  await assert.rejects(read('Received: x\n\nbody\n'), NotMbox);
  assert.deepEqual(await read(''), []);
  assert.deepEqual(await read('\n\n'), []);
});

test('a message that nobody reads is passed over', async () => {
  const starts: number[] = [];
  for await (const { start } of readMbox(chunks(Buffer.from(`${FROM}one\n\n${FROM}two\n`), [3]))) starts.push(start);
  assert.deepEqual(starts, [0, FROM.length + 5]);
});

test('reading goes on at the offset of a message', async () => {
  const text = Buffer.from(`${FROM}one\n\n${FROM}two\n\n${FROM}three\n`);
  const starts: number[] = [];
  for await (const { start } of readMbox(chunks(text))) starts.push(start);
  const rest: [number, string][] = [];
  for await (const { start, bytes } of readMbox(chunks(text.subarray(starts[1])), { offset: starts[1]! }))
    rest.push([start, String(await gather(bytes))]);
  assert.deepEqual(rest, [
    [starts[1], 'two\n'],
    [starts[2], 'three\n'],
  ]);
});

const LINES = [
  '',
  'From ',
  'From x Tue Jan  2 03:04:05 2029',
  '>From ',
  '>>>From a',
  'From',
  ' From ',
  'body',
  '>',
  `${'>'.repeat(200)}From `,
  `${'>'.repeat(201)}From `,
  `${'>'.repeat(202)}From `,
  `${'>'.repeat(300)}From `,
  'x'.repeat(1500),
];
const message = fc
  .array(fc.tuple(fc.constantFrom(...LINES), fc.constantFrom('\n', '\r\n', '\r\r\n')), { maxLength: 12 })
  .map((lines) => lines.map(([line, end]) => line + end).join(''));

test('what is written is read back byte for byte, in any chunking', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(message, { minLength: 1, maxLength: 4 }),
      fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 5 }),
      fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 5 }),
      async (messages, writeSizes, readSizes) => {
        const pieces: Buffer[] = [];
        for (const one of messages) pieces.push(await gather(writeMbox(chunks(Buffer.from(one), writeSizes), 0)));
        assert.deepEqual(await read(Buffer.concat(pieces), readSizes), messages);
      },
    ),
    { numRuns: 300 },
  );
});

test('any bytes are read or refused, the same in any chunking', async () => {
  const outcome = async (bytes: Buffer, sizes: readonly number[]): Promise<string[] | string> =>
    read(bytes, sizes).catch((error: unknown) => {
      assert(error instanceof NotMbox);
      return 'refused';
    });
  const part = fc.constantFrom('From ', '>', '\n', '\r', FROM, ' 2029', 'x', '\0', '\u00ff');
  await fc.assert(
    fc.asyncProperty(
      fc.array(part, { maxLength: 40 }),
      fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 4 }),
      async (parts, sizes) => {
        const bytes = Buffer.from(parts.join(''), 'latin1');
        assert.deepEqual(await outcome(bytes, sizes), await outcome(bytes, []));
      },
    ),
    { numRuns: 300 },
  );
});

test('a message without a line end at its end gets one', async () => {
  const bytes = await gather(writeMbox(chunks(Buffer.from('A: 1\n\nx')), 0));
  assert.equal(String(bytes), `${separatorLine(0)}A: 1\n\nx\n\n`);
  assert.equal(separatorLine(0), 'From MAILER-DAEMON Thu Jan  1 00:00:00 1970\n');
});

test('a line of 50 MB passes in bounded memory', async () => {
  const piece = Buffer.alloc(1 << 20, 'x');
  async function* huge(): AsyncGenerator<Uint8Array> {
    yield Buffer.from(FROM);
    for (let i = 0; i < 50; i++) yield piece;
    yield Buffer.from(`\n\n${FROM}two\n`);
  }
  const sizes: number[] = [];
  let largest = 0;
  for await (const { bytes } of readMbox(huge())) {
    let size = 0;
    for await (const part of bytes) {
      size += part.length;
      largest = Math.max(largest, part.length);
    }
    sizes.push(size);
  }
  assert.deepEqual(sizes, [50 * (1 << 20) + 1, 4]);
  assert(largest <= (1 << 20) + 2000, `a piece of ${largest}`);
});

test('bare line ends of a file become CRLF; a message in CRLF is passed on byte for byte', async () => {
  const convert = async (text: string, sizes: readonly number[]): Promise<string> =>
    (await gather(withCrlf(chunks(Buffer.from(text, 'latin1'), sizes)))).toString('latin1');
  for (const sizes of [[], [1], [2], [3, 1]]) {
    assert.equal(await convert('a\nb\r\nc\rd\n\n', sizes), 'a\r\nb\r\nc\rd\r\n\r\n');
    assert.equal(await convert('a\r\nb\nc\rd\r\n', sizes), 'a\r\nb\nc\rd\r\n');
    assert.equal(await convert('\na\n', sizes), '\r\na\r\n');
    assert.equal(await convert('no end', sizes), 'no end');
  }
});

test('flags and dates that programs keep in headers are found', async () => {
  const peek = async (text: string): Promise<HeaderPeek> => {
    const header = new HeaderPeek();
    assert.equal(String(await gather(header.through(chunks(Buffer.from(text), [7])))), text);
    return header;
  };
  const full = await peek(
    'Received: by a; Tue, 2 Jan 2029\n 03:04:05 +0000\nDate: Mon, 1 Jan 2029 00:00:00 +0000\nStatus: RO\nX-Status: AF\n\nStatus: x\n',
  );
  assert.deepEqual(headerFlags(full), ['\\Seen', '\\Answered', '\\Flagged']);
  assert.equal(headerDate(full), Date.UTC(2029, 0, 2, 3, 4, 5) / 1000);
  const mozilla = await peek('X-Mozilla-Status: 1003\nDate: Mon, 1 Jan 2029 00:00:00 +0000\n\n');
  assert.deepEqual(headerFlags(mozilla), ['\\Seen', '\\Answered', '$Forwarded']);
  assert.equal(headerDate(mozilla), Date.UTC(2029, 0, 1) / 1000);
  const none = await peek('\nStatus: RO\n');
  assert.deepEqual(headerFlags(none), []);
  assert.equal(headerDate(none), null);
});
