/** Goal: what RETR sends is the message, byte for byte, as long as its size says; TOP is its beginning. */

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { PIECE_BYTES } from '../../core/mail/layout.ts';
import { DotStuffer } from '../../core/pop3/dot-stuffer.ts';
import { makePop3Engine } from '../../core/pop3/engine.ts';
import { TopCutter } from '../../core/pop3/top-cutter.ts';
import { type ImapStores, openImapStores, PASSWORD } from '../support/imap-world.ts';
import { Pop3World } from '../support/pop3-world.ts';
import { TestConnection } from '../support/test-connection.ts';

let opened: Promise<ImapStores> | undefined;
after(async () => (await opened)?.close());

/** Text in which line ends and dots are likely. */
const text = fc
  .array(
    fc.constantFrom('\r\n', '\n', '\r', '.', '..', '\r\n.', '\n.', '\r\n.\r\n', 'a', 'Subject: x', ' ', '\r\n\r\n'),
    {
      maxLength: 30,
    },
  )
  .map((pieces) => Buffer.from(pieces.join('')));

function cut(bytes: Buffer, sizes: readonly number[]): Buffer[] {
  const chunks: Buffer[] = [];
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length]!;
    chunks.push(bytes.subarray(at, at + size));
    at += size;
  }
  return chunks;
}
const sizes = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 4 });

/** As a client does it, written apart from the code under test. */
const unstuffed = (bytes: string): string => bytes.replace(/(^|\n)\./g, '$1');

test('byte-stuffing is undone by taking one dot off each line that begins with one', () => {
  fc.assert(
    fc.property(text, sizes, (bytes, some) => {
      const stuffer = new DotStuffer();
      const sent = Buffer.concat(cut(bytes, some).map((chunk) => stuffer.stuff(chunk)));
      assert.equal(sent.toString('latin1'), bytes.toString('latin1').replace(/(^|\n)\./g, '$1..'));
      assert.equal(unstuffed(sent.toString('latin1')), bytes.toString('latin1'));
      assert.equal(stuffer.endsInCrlf, bytes.toString('latin1').endsWith('\r\n'));
    }),
    { numRuns: 2000 },
  );
});

/** The naive reading of RFC 1939 §7: the header with its blank line, then so many lines. */
function naiveTop(message: string, bodyLines: number): string {
  const lines = message.match(/[^\n]*\n|[^\n]+$/g) ?? [];
  const blank = lines.findIndex((line) => line === '\n' || line === '\r\n');
  return blank < 0 ? message : lines.slice(0, blank + 1 + bodyLines).join('');
}

test('the top of a message is the same in any chunking', () => {
  fc.assert(
    fc.property(text, sizes, fc.nat(4), (bytes, some, bodyLines) => {
      const cutter = new TopCutter(bodyLines);
      let top = '';
      for (const chunk of cut(bytes, some)) {
        top += cutter.take(chunk).toString('latin1');
        if (cutter.done) break;
      }
      assert.equal(top, naiveTop(bytes.toString('latin1'), bodyLines));
    }),
    { numRuns: 2000 },
  );
});

async function login(world: Pop3World): Promise<TestConnection> {
  const connection = new TestConnection(makePop3Engine(world.env), { tls: true });
  await connection.send(`UTF8\r\nUSER alice\r\nPASS ${PASSWORD}\r\n`);
  assert.match(connection.rest(), /^(?:\+OK [^\r]*\r\n){4}$/);
  return connection;
}

/** The lines of a multi-line response, undone. */
async function retrieve(connection: TestConnection, number: number): Promise<string> {
  await connection.send(`RETR ${number}\r\n`);
  const response = connection.rest();
  const begin = response.indexOf('\r\n') + 2;
  assert.match(response.slice(0, begin), /^\+OK [0-9]+ octets\r\n$/);
  assert.ok(response.endsWith('\r\n.\r\n'));
  const message = unstuffed(response.slice(begin, -3));
  assert.equal(`+OK ${message.length} octets`, response.slice(0, begin - 2));
  return message;
}

async function check(world: Pop3World, messages: readonly Buffer[], before: number): Promise<void> {
  for (const message of messages) await world.mail.deliver('INBOX', message);
  const connection = await login(world);
  let total = 0;
  for (const [index, bytes] of messages.entries()) {
    const number = before + index + 1;
    const stored = bytes.toString('latin1');
    const sent = await retrieve(connection, number);
    assert.equal(sent, stored.endsWith('\r\n') ? stored : `${stored}\r\n`);
    await connection.send(`LIST ${number}\r\n`);
    assert.equal(connection.rest(), `+OK ${number} ${sent.length}\r\n`);
    total += sent.length;
  }
  if (before === 0) {
    await connection.send('STAT\r\n');
    assert.equal(connection.rest(), `+OK ${messages.length} ${total}\r\n`);
  }
  connection.end();
}

test('any message comes back byte for byte, and sizes are what is sent', async () => {
  opened ??= openImapStores();
  const world = await Pop3World.open(await opened);
  let before = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(text, { minLength: 1, maxLength: 8 }), async (messages) => {
      const first = before;
      before += messages.length;
      await check(world, messages, first);
    }),
    { numRuns: 25 },
  );
});

test('long messages come back too, with lines, dots and line ends on the borders of pieces', async () => {
  opened ??= openImapStores();
  const world = await Pop3World.open(await opened);
  const long = (length: number, fill: string): Buffer =>
    Buffer.from('Subject: x\r\n\r\n'.padEnd(30, fill) + fill.repeat(Math.ceil(length / fill.length)));
  const messages: Buffer[] = [];
  for (const shift of [-3, -2, -1, 0, 1, 2]) {
    for (const border of ['\r\n.', '\n..', '.\r\n']) {
      const bytes = long(PIECE_BYTES * 2 + 100, 'abcdefg hijk\r\n');
      bytes.write(border, PIECE_BYTES + shift, 'latin1');
      messages.push(bytes);
    }
  }
  messages.push(long(PIECE_BYTES * 3, '\r\n.'), long(PIECE_BYTES * 2, '.'), long(PIECE_BYTES, '\n'));
  await check(world, messages, 0);
});
