/** The structure of messages: delimiters (RFC 2046 §5.1.1), defaults, nesting and limits. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Part } from '../../core/mime/part.ts';
import { parseStructure, StructureParser } from '../../core/mime/structure.ts';

const crlf = (text: string): Buffer => Buffer.from(text.replaceAll('\n', '\r\n'), 'latin1');
const body = (message: Buffer, part: Part): string => message.toString('latin1', part.bodyStart, part.bodyEnd);
const bodies = (message: Buffer): string[] => parseStructure(message).children.map((part) => body(message, part));
const typeOf = (part: Part): string => `${part.type}/${part.subtype}`;
const count = (part: Part): number =>
  1 + part.children.reduce((sum, child) => sum + count(child), 0) + (part.message ? count(part.message.part) : 0);

const MIXED = 'Content-Type: multipart/mixed; boundary="simple boundary"\n\n';

test('the example of RFC 2046 §5.1.1: preamble, implicit and explicit types, epilogue', () => {
  const message = crlf(
    `From: Nathaniel Borenstein <nsb@bellcore.com>\nMIME-Version: 1.0\nContent-type: multipart/mixed; boundary="simple boundary"\n\n` +
      'This is the preamble.  It is to be ignored.\n\n--simple boundary\n\n' +
      'This is implicitly typed plain US-ASCII text.\nIt does NOT end with a linebreak.\n--simple boundary\n' +
      'Content-type: text/plain; charset=us-ascii\n\nThis is explicitly typed plain US-ASCII text.\nIt DOES end with a linebreak.\n\n' +
      '--simple boundary--\n\nThis is the epilogue.  It is also to be ignored.\n',
  );
  const root = parseStructure(message);
  assert.deepEqual(root.children.map(typeOf), ['text/plain', 'text/plain']);
  assert.deepEqual(bodies(message), [
    'This is implicitly typed plain US-ASCII text.\r\nIt does NOT end with a linebreak.',
    'This is explicitly typed plain US-ASCII text.\r\nIt DOES end with a linebreak.\r\n',
  ]);
  assert.deepEqual(
    root.children.map((part) => part.lines),
    [1, 2],
  );
  assert.equal(root.bodyEnd, message.length);
  assert.equal(root.children[0]!.headerEnd - root.children[0]!.headerStart, 2);
});

test('bare line feeds: the one before a delimiter is its own', () => {
  const message = Buffer.from(`${MIXED}--simple boundary\n\none\n--simple boundary\n\ntwo\n\n--simple boundary--\n`);
  assert.deepEqual(bodies(message), ['one', 'two\n']);
});

test('white space and anything else may follow the boundary', () => {
  assert.deepEqual(
    bodies(crlf(`${MIXED}--simple boundary  \t\n\none\n--simple boundaryX\n\ntwo\n--simple boundary-- \nend`)),
    ['one', 'two'],
  );
});

test('a missing close delimiter, a part without a body, a part without anything', () => {
  assert.deepEqual(bodies(crlf(`${MIXED}--simple boundary\n\none\n`)), ['one\r\n']);
  assert.deepEqual(bodies(crlf(`${MIXED}--simple boundary\nX: y\n\n--simple boundary--\n`)), ['']);
  const message = crlf(`${MIXED}--simple boundary\n--simple boundary\nX: y\n--simple boundary--\n`);
  const [empty, headerOnly] = parseStructure(message).children;
  assert.equal(empty!.headerStart, empty!.bodyEnd);
  assert.equal(message.toString('latin1', headerOnly!.headerStart, headerOnly!.headerEnd), 'X: y');
  assert.equal(headerOnly!.bodyStart, headerOnly!.bodyEnd);
});

test('no delimiter line end: nothing begins; hyphens at the end of the message close', () => {
  assert.equal(parseStructure(crlf(`${MIXED}--simple boundary\n\none\n--simple boundary`)).children.length, 1);
  assert.deepEqual(bodies(crlf(`${MIXED}--simple boundary\n\none\n--simple boundary--`)), ['one']);
  assert.equal(parseStructure(crlf(`${MIXED}no delimiter at all\n`)).children.length, 0);
});

test('behind the close delimiter the boundary means nothing', () => {
  assert.deepEqual(
    bodies(crlf(`${MIXED}--simple boundary\n\none\n--simple boundary--\n\n--simple boundary\n\ntwo\n`)),
    ['one'],
  );
});

test('an inner boundary that begins an outer one, and the other way round: the longest is meant', () => {
  for (const [outer, inner] of [
    ['abcdef', 'abc'],
    ['abc', 'abcdef'],
  ])
    for (const close of [`--${inner}--\n`, '']) {
      const message = crlf(
        `Content-Type: multipart/mixed; boundary=${outer}\n\n--${outer}\nContent-Type: multipart/alternative; boundary=${inner}\n\n` +
          `--${inner}\n\none\n--${inner}\n\ntwo\n${close}--${outer}\n\nthree\n--${outer}--\n`,
      );
      const root = parseStructure(message);
      assert.equal(root.children.length, 2);
      assert.equal(root.children[0]!.children.length, 2);
      assert.equal(body(message, root.children[1]!), 'three');
    }
});

test('an outer delimiter ends an inner multipart that was never closed (RFC 2046 §5.1.2)', () => {
  const message = crlf(
    'Content-Type: multipart/mixed; boundary=out\n\n--out\nContent-Type: multipart/mixed; boundary=in\n\n--in\n\none\n--out\n\ntwo\n--out--\n',
  );
  const [inner, second] = parseStructure(message).children;
  assert.deepEqual(
    [inner!.children.length, body(message, inner!.children[0]!), body(message, second!)],
    [1, 'one', 'two'],
  );
});

test('digest parts are messages by default (RFC 2046 §5.1.5)', () => {
  const message = crlf(
    'Content-Type: multipart/digest; boundary=b\n\n--b\n\nFrom: a@b\nSubject: one\n\ntext\n--b\nContent-Type: text/plain\n\nplain\n--b--\n',
  );
  const [first, second] = parseStructure(message).children;
  assert.deepEqual([typeOf(first!), typeOf(second!)], ['message/rfc822', 'text/plain']);
  assert.equal(body(message, first!.message!.part), 'text');
  assert.match(Buffer.from(first!.message!.envelope).toString(), /"one"/);
});

test('a message inside a message, and its line count', () => {
  const message = crlf('Content-Type: message/rfc822\n\nSubject: in\nContent-Type: text/html\n\nl1\nl2\n');
  const root = parseStructure(message);
  assert.equal(root.lines, 5);
  assert.equal(root.message!.part.lines, 2);
  assert.equal(root.message!.part.headerStart, root.bodyStart);
  assert.equal(root.message!.part.bodyEnd, root.bodyEnd);
});

test('an inner message whose header ends at the delimiter stays inside its part', () => {
  const message = crlf(
    'Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: message/rfc822\n\nSubject: x\n\n--b--\n',
  );
  const part = parseStructure(message).children[0]!;
  assert.equal(part.message!.part.bodyStart, part.message!.part.bodyEnd);
  assert.equal(part.bodyEnd, part.message!.part.bodyEnd);
  assert.equal(part.lines, 2);
});

test('content fields, and defaults where they are missing or not valid (RFC 2045 §5.2)', () => {
  const part = parseStructure(
    crlf(
      'Content-Type: TEXT/HTML; Charset=utf-8\nContent-Transfer-Encoding: Base64 (c)\nContent-ID: <a@b>\nContent-Description: a\n b\n' +
        'Content-MD5: x==\nContent-Language: en, de\nContent-Location: http://x\nContent-Disposition: Inline; filename=f\n\n',
    ),
  );
  assert.deepEqual(
    { ...part, headerStart: 0, headerEnd: 0, bodyStart: 0, bodyEnd: 0 },
    {
      headerStart: 0,
      headerEnd: 0,
      bodyStart: 0,
      bodyEnd: 0,
      lines: 0,
      type: 'text',
      subtype: 'html',
      params: [['charset', 'utf-8']],
      id: '<a@b>',
      description: 'a b',
      encoding: 'base64',
      md5: 'x==',
      disposition: { type: 'inline', params: [['filename', 'f']] },
      language: ['en', 'de'],
      location: 'http://x',
      children: [],
      message: null,
    },
  );
  const broken = parseStructure(crlf('Content-Type: nonsense; charset=utf-8\n\nx'));
  assert.deepEqual([typeOf(broken), broken.params], ['text/plain', [['charset', 'utf-8']]]);
  assert.deepEqual(parseStructure(Buffer.alloc(0)).params, [['charset', 'us-ascii']]);
});

test('limits: 5,000 levels, 50,000 parts and one line of 50 MB are quick and stay within the message', () => {
  const mixed = Array.from(
    { length: 5000 },
    (_, i) => `Content-Type: multipart/mixed; boundary="${i}b"\r\n\r\n--${i}b\r\n`,
  );
  const cases: [string, Buffer, number][] = [
    ['levels', Buffer.from(mixed.join('')), 100],
    ['messages', Buffer.from('Content-Type: message/rfc822\r\n\r\n'.repeat(5000)), 100],
    [
      'parts',
      Buffer.from(`Content-Type: multipart/mixed; boundary=b\r\n\r\n${'--b\r\n\r\nx\r\n'.repeat(50_000)}--b--\r\n`),
      10_000,
    ],
    ['header line', Buffer.alloc(50 * 1024 * 1024, 'x'), 1],
    ['body line', Buffer.concat([crlf(MIXED), Buffer.alloc(50 * 1024 * 1024, '-')]), 1],
    ['header fields', Buffer.from(`${'X: y\r\n'.repeat(100_000)}\r\nbody`), 1],
  ];
  for (const [name, message, parts] of cases) {
    const parser = new StructureParser();
    const started = performance.now();
    for (let at = 0; at < message.length; at += 65536) parser.push(message.subarray(at, at + 65536));
    const root = parser.end();
    assert.ok(performance.now() - started < 1500, name);
    assert.equal(count(root), parts, name);
    assert.equal(root.bodyEnd, message.length, name);
    assert.ok(parser.header.length <= 1024 * 1024, name);
  }
});

test('a header across chunks is kept, also when the chunk is overwritten afterwards', () => {
  const message = crlf('From: a@b\nContent-Type: text/html\n\nbody');
  const parser = new StructureParser();
  const chunk = Buffer.alloc(7);
  for (let at = 0; at < message.length; at += 7) {
    const length = message.copy(chunk, 0, at);
    parser.push(chunk.subarray(0, length));
    chunk.fill(0);
  }
  assert.deepEqual(parser.end(), parseStructure(message));
  assert.equal(Buffer.from(parser.header).toString(), 'From: a@b\r\nContent-Type: text/html\r\n\r\n');
  assert.equal(parser.size, message.length);
});
