/** Contents: transfer encodings, HTML as readers see it, text parts, types by content, the description of a message. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeMessage, toContentInput } from '../../core/mime/describe.ts';
import { sniffType } from '../../core/mime/sniff.ts';
import { parseStructure } from '../../core/mime/structure.ts';
import { decodeStructure } from '../../core/mime/structure-code.ts';
import { htmlToText, partText, textParts, visibleText } from '../../core/mime/text.ts';
import { decodeTransfer } from '../../core/mime/transfer.ts';

const decode = (text: string, encoding: string): string =>
  Buffer.from(decodeTransfer(Buffer.from(text, 'latin1'), encoding)).toString('latin1');

test('quoted-printable (RFC 2045 §6.7)', () => {
  const qp = (text: string): string => decode(text, 'Quoted-Printable');
  assert.equal(
    qp("Now's the time =\r\nfor all folk to come=\r\n to the aid of their country."),
    "Now's the time for all folk to come to the aid of their country.",
  );
  assert.equal(qp('=C3=bc=3D'), '\xc3\xbc=');
  assert.equal(qp('a= \t\r\nb'), 'ab');
  assert.equal(qp('end \t\r\nnext  \nlast '), 'end\r\nnext\nlast ');
  assert.equal(qp('kept=20\r\n'), 'kept \r\n');
  assert.equal(qp('x=ZZ = y =4'), 'x=ZZ = y =4');
  assert.equal(qp('soft at the end='), 'soft at the end');
  assert.equal(qp('a\rb\r\n'), 'a\rb\r\n');
});

test('base64, with line ends, noise and joined encodings', () => {
  assert.equal(decode('SGVs\r\nbG8=', 'base64'), 'Hello');
  assert.equal(decode('SG-Vs!\tbG8', 'BASE64'), 'Hello');
  assert.equal(decode('SGVs\r\nbG8=\r\nSGVsbG8=\r\n', 'base64'), 'HelloHello');
  assert.equal(decode('QQ==QQ==', 'base64'), 'AA');
  assert.equal(decode('', 'base64'), '');
  assert.equal(decode('A', 'base64'), '');
});

test('other encodings', () => {
  assert.equal(decode('begin 644 x\r\n#0V%T\r\n`\r\nend\r\n', 'x-uuencode'), 'Cat');
  for (const encoding of ['7bit', '8bit', 'binary', 'nonsense']) assert.equal(decode('a=20', encoding), 'a=20');
});

test('HTML: visible text, blocks, entities, white space', () => {
  const { text, urls, images, links, tags } = htmlToText(
    '<html><head><title>no</title></head><body><h1>Hi &amp; &uuml;&#8364;&#x41;&#150;</h1><p>one\n  two<br>three</p>' +
      '<table><tr><td>a</td><td>b</td></tr></table><a href="http://x.test/?a=1&amp;b">link</a><img src=\'http://i.test/p\'> 1 < 2 &nosuch; </body></html>',
    1000,
  );
  assert.equal(text, 'Hi & ü€A–\none two\nthree\na b\nlink 1 < 2 &nosuch;');
  assert.deepEqual(urls, ['http://x.test/?a=1&b', 'http://i.test/p']);
  assert.deepEqual([images, links, tags], [1, 1, 24]);
});

test('HTML: what is not shown is counted', () => {
  const found = htmlToText(
    'a<!-- secret --><style>p{}</style><script>x</script><div style="color:red; Display : None">hid<div>den</div>!</div><span hidden>h</span>' +
      '<p style="font-size:0">z</p><p style="font-size:0.9em">b</p>',
    1000,
  );
  assert.equal(found.text, 'a\nb');
  assert.equal(found.commentBytes, 15);
  assert.equal(found.hiddenBytes, 'p{}x'.length + 'hidden!'.length + 'hz'.length);
  assert.equal(found.scripts, 1);
});

test('HTML: unclosed and nested rubbish is linear, the limit cuts', () => {
  const started = performance.now();
  for (const piece of [
    '<',
    '<a ',
    '<a href="',
    '<!--',
    '</',
    '&#',
    '<div style="display:none">',
    '<p>x',
    '<script>',
    '<td>x &amp;',
  ])
    htmlToText(piece.repeat(100_000), 1_000_000);
  assert.ok(performance.now() - started < 3000);
  const cut = htmlToText('abc '.repeat(100), 10);
  assert.deepEqual([cut.text, cut.truncated], ['abc abc ab', true]);
  assert.equal(htmlToText('abc', 3).truncated, false);
});

const MESSAGE = Buffer.from(
  [
    'From: =?utf-8?Q?J=C3=BC?= <a@b>',
    'Subject: =?utf-8?B?w7w=?= and more',
    'Message-ID: (c) <id@x>',
    'Date: Fri, 21 Nov 1997 09:55:06 -0600',
    'Content-Type: multipart/mixed; boundary=b',
    '',
    '--b',
    'Content-Type: text/html; charset=iso-8859-1',
    'Content-Transfer-Encoding: quoted-printable',
    '',
    '<p>=FC</p>',
    '--b',
    'Content-Type: message/rfc822',
    '',
    'Subject: in',
    '',
    'inner text',
    '--b',
    'Content-Type: text/csv',
    'Content-Disposition: attachment; filename=a.csv',
    '',
    '1,2',
    '--b--',
    '',
  ].join('\r\n'),
);

test('text parts and what their readers see', () => {
  const root = parseStructure(MESSAGE);
  const parts = textParts(root);
  const shown = parts.map((part) => visibleText(part, MESSAGE.subarray(part.bodyStart, part.bodyEnd), 100));
  assert.deepEqual(shown, ['ü', 'inner text']);
  assert.equal(partText(parts[0]!, MESSAGE.subarray(parts[0]!.bodyStart, parts[0]!.bodyEnd)), '<p>ü</p>');
  assert.equal(textParts(root, true).length, 3);
});

test('the description of a message, whatever its chunks', async () => {
  const description = await describeMessage([MESSAGE.subarray(0, 100), MESSAGE.subarray(100)]);
  assert.equal(description.size, MESSAGE.length);
  assert.deepEqual(decodeStructure(description.structure), description.root);
  assert.deepEqual(description.root, parseStructure(MESSAGE));
  assert.equal(description.messageId, '<id@x>');
  assert.equal(description.sentAt, Date.UTC(1997, 10, 21, 15, 55, 6) / 1000);
  assert.equal(description.subject, 'ü and more');
  assert.equal(description.from, 'Jü <a@b>');
  const content = toContentInput(description, [], 'q');
  assert.deepEqual([content.size, content.origin, content.messageId], [MESSAGE.length, 'q', '<id@x>']);
  const none = await describeMessage([]);
  assert.deepEqual([none.size, none.messageId, none.sentAt, none.subject], [0, '', null, '']);
});

test('types by content', () => {
  const zip = (name: string): Buffer =>
    Buffer.concat([
      Buffer.from('504b0304140000000000000000000000000000000000000000000800000000', 'hex').subarray(0, 30),
      Buffer.from(name),
    ]);
  const cases: [Uint8Array, string | null][] = [
    [Buffer.from('%PDF-1.4\n'), 'application/pdf'],
    [Buffer.from('89504e470d0a1a0a00', 'hex'), 'image/png'],
    [Buffer.concat([Buffer.from('MZ'), Buffer.alloc(64)]), 'application/vnd.microsoft.portable-executable'],
    [Buffer.from('MZ is how this text of more than 32 characters begins'), null],
    [zip('word/document.xml'), 'application/vnd.openxmlformats-officedocument.wordprocessingml.document'],
    [zip('mimetypeapplication/vnd.oasis.opendocument.textPK'), 'application/vnd.oasis.opendocument.text'],
    [zip('a.txt'), 'application/zip'],
    [Buffer.from('\r\n <!DOCTYPE html>'), 'text/html'],
    [Buffer.from('<?xml version="1.0"?>'), 'application/xml'],
    [Buffer.from('RIFFxxxxWEBP'), 'image/webp'],
    [Buffer.from('plain text'), null],
    [Buffer.alloc(0), null],
  ];
  for (const [bytes, type] of cases) assert.equal(sniffType(bytes), type);
});
