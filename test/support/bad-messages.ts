/** Messages that break naive readers: each is legal enough to be offered, and far outside of what people send. */

import { gzipSync } from 'node:zlib';

export interface BadMessage {
  readonly name: string;
  /** The reply's code by SMTP and LMTP. */
  readonly code: 250 | 552 | 554;
  readonly bytes: () => Buffer;
}

const CRLF = '\r\n';
const head = (...fields: readonly string[]): string =>
  ['From: bad@client.example', 'To: alice@mail.localhost', 'MIME-Version: 1.0', ...fields].join(CRLF) + CRLF;
const plain = (fields: string, body = 'text\r\n'): Buffer => Buffer.from(`${fields}${CRLF}${body}`, 'latin1');

function nested(depth: number): Buffer {
  const pieces = [head('Content-Type: multipart/mixed; boundary=b0'), CRLF];
  for (let i = 0; i < depth; i++)
    pieces.push(`--b${i}${CRLF}Content-Type: multipart/mixed; boundary=b${i + 1}${CRLF}${CRLF}`);
  pieces.push(`--b${depth}${CRLF}${CRLF}deep${CRLF}`);
  for (let i = depth; i >= 0; i--) pieces.push(`--b${i}--${CRLF}`);
  return Buffer.from(pieces.join(''));
}

const oneBoundary = (count: number): Buffer =>
  plain(
    head('Content-Type: multipart/mixed; boundary=b'),
    `${`--b${CRLF}Content-Type: text/plain${CRLF}${CRLF}x${CRLF}`.repeat(count)}--b--${CRLF}`,
  );

const letters = (depth: number): Buffer =>
  plain(
    head('Content-Type: message/rfc822'),
    `Subject: inner${CRLF}Content-Type: message/rfc822${CRLF}${CRLF}`.repeat(depth),
  );

function zipBomb(): Buffer {
  const packed = gzipSync(Buffer.alloc(64 * 1024 * 1024)).toString('base64');
  const lines = packed.match(/.{1,76}/g)!.join(CRLF);
  return plain(head('Content-Type: application/gzip; name=bomb.gz', 'Content-Transfer-Encoding: base64'), lines + CRLF);
}

/** The longest line is `bytes` long. */
const oneLine = (bytes: number): Buffer =>
  Buffer.concat([plain(head('Content-Type: text/plain'), ''), Buffer.alloc(bytes, 'x'), Buffer.from(CRLF)]);

const fields = (count: number): string => Array.from({ length: count }, (_, i) => `X-${i}: y${CRLF}`).join('');

export const BAD_MESSAGES: readonly BadMessage[] = [
  { name: 'multiparts nested 5,000 deep', code: 250, bytes: () => nested(5_000) },
  { name: '50,000 parts', code: 250, bytes: () => oneBoundary(50_000) },
  { name: '9,000 messages in messages', code: 250, bytes: () => letters(9_000) },
  { name: '9,000 header fields', code: 250, bytes: () => plain(head() + fields(9_000)) },
  { name: '100,000 header fields', code: 552, bytes: () => plain(head() + fields(100_000)) },
  { name: 'a header of 2 MB in one field', code: 552, bytes: () => plain(head(`Subject: ${'x'.repeat(2_000_000)}`)) },
  { name: 'a header that never ends', code: 552, bytes: () => Buffer.alloc(3_000_000, 'x') },
  { name: 'a line of 40 MB', code: 250, bytes: () => oneLine(40_000_000) },
  {
    name: 'a line of 10 MB in base64',
    code: 250,
    bytes: () => plain(head('Content-Transfer-Encoding: base64'), 'QUJD'.repeat(2_500_000)),
  },
  { name: 'more than may be sent', code: 552, bytes: () => oneLine(60_000_000) },
  { name: 'NULs', code: 250, bytes: () => plain(head('Subject: a\0b', 'X-Nul: \0'), 'a\0b\0\0\r\n\0\r\n') },
  {
    name: 'every byte there is but CR and LF',
    code: 250,
    bytes: () =>
      plain(
        head('Content-Type: text/plain; charset=x-none'),
        String.fromCharCode(...Array.from({ length: 256 }, (_, i) => i).filter((i) => i !== 13 && i !== 10)).repeat(
          500,
        ),
      ),
  },
  {
    name: 'comments nested 300,000 deep',
    code: 250,
    bytes: () => plain(head(`Cc: ${'('.repeat(300_000)}`, `Received: ${'('.repeat(300_000)}`)),
  },
  {
    name: 'quotes that never end',
    code: 250,
    bytes: () => plain(head(`Cc: ${'"'.repeat(300_001)}`, `Content-Type: text/plain; name="${'\\'.repeat(100_001)}`)),
  },
  { name: '100,000 addresses', code: 250, bytes: () => plain(head(`Cc: ${'a@b,'.repeat(100_000)}`, 'Bcc: g:;,g:;')) },
  {
    name: '20,000 parameters',
    code: 250,
    bytes: () =>
      plain(head(`Content-Type: text/plain${Array.from({ length: 20_000 }, (_, i) => `;p*${i}*=%41`).join('')}`)),
  },
  {
    name: 'encoded words in unknown charsets',
    code: 250,
    bytes: () => plain(head(`Subject: ${'=?x-none?Q?=FF?= =?utf-8?B?/w==?= =?utf-7?Q?+AGE-?= '.repeat(10_000)}`)),
  },
  { name: 'an attachment that grows a thousandfold', code: 250, bytes: zipBomb },
  {
    name: 'tags and entities without end',
    code: 250,
    bytes: () =>
      plain(
        head('Content-Type: text/html'),
        `${'<a '.repeat(300_000)}${'&#'.repeat(300_000)}${'<!--'.repeat(300_000)}\r\n`,
      ),
  },
  {
    name: 'links without end',
    code: 250,
    bytes: () => plain(head('Content-Type: text/plain'), `${'http://a.b/'.repeat(300_000)}\r\n`),
  },
  { name: 'nothing at all', code: 250, bytes: () => Buffer.alloc(0) },
  { name: 'a body without a header', code: 250, bytes: () => Buffer.from('\r\nbody\r\n') },
  {
    name: 'header lines without names',
    code: 250,
    bytes: () => Buffer.from(`: x\r\n${' folded\r\n'.repeat(1000)}=\r\n\r\nbody\r\n`),
  },
];
