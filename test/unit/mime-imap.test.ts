/** What IMAP shows of a message: ENVELOPE, BODYSTRUCTURE, BODY, sections and subsets of header fields. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bodyBytes, bodystructureBytes } from '../../core/mime/bodystructure.ts';
import { envelopeBytes } from '../../core/mime/envelope.ts';
import { parseHeader } from '../../core/mime/header.ts';
import { partAt, type SectionText, sectionRange, selectFields } from '../../core/mime/section.ts';
import { parseStructure } from '../../core/mime/structure.ts';

const crlf = (text: string): Buffer => Buffer.from(text.replaceAll('\n', '\r\n'), 'latin1');
const envelope = (text: string): string => {
  const header = crlf(text);
  return Buffer.from(envelopeBytes(header, parseHeader(header))).toString('latin1');
};
const structure = (text: string): string =>
  Buffer.from(bodystructureBytes(parseStructure(crlf(text)))).toString('latin1');
const basic = (text: string): string => Buffer.from(bodyBytes(parseStructure(crlf(text)))).toString('latin1');

test('ENVELOPE: the example of RFC 3501 §8 in its fields', () => {
  assert.equal(
    envelope(
      'Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\nFrom: Terry Gray <gray@cac.washington.edu>\nSubject: IMAP4rev2 WG mtg summary and minutes\n' +
        'To: imap@cac.washington.edu\ncc: minutes@CNRI.Reston.VA.US, John Klensin <KLENSIN@MIT.EDU>\nMessage-Id: <B27397-0100000@cac.washington.ed>\n\n',
    ),
    '("Wed, 17 Jul 1996 02:23:25 -0700 (PDT)" "IMAP4rev2 WG mtg summary and minutes" ' +
      '(("Terry Gray" NIL "gray" "cac.washington.edu")) (("Terry Gray" NIL "gray" "cac.washington.edu")) ' +
      '(("Terry Gray" NIL "gray" "cac.washington.edu")) ((NIL NIL "imap" "cac.washington.edu")) ' +
      '((NIL NIL "minutes" "CNRI.Reston.VA.US")("John Klensin" NIL "KLENSIN" "MIT.EDU")) NIL NIL ' +
      '"<B27397-0100000@cac.washington.ed>")',
  );
});

test('ENVELOPE: absent is NIL, empty is "", empty address fields are NIL or From', () => {
  assert.equal(envelope('\n'), '(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)');
  assert.equal(
    envelope('Subject:\nFrom: a@b\nSender: \nReply-To:\nTo: \n\n'),
    '(NIL "" ((NIL NIL "a" "b")) ((NIL NIL "a" "b")) ((NIL NIL "a" "b")) NIL NIL NIL NIL NIL)',
  );
});

test('ENVELOPE: groups, quoting, 8-bit as literal, NUL dropped, encoded words as they are, the first of repeated fields', () => {
  assert.equal(
    envelope('Subject: a "q" \\ \tb\nSubject: second\nTo: g: x@y;\n\n'),
    '(NIL "a \\"q\\" \\\\ \tb" NIL NIL NIL ((NIL NIL "g" NIL)(NIL NIL "x" "y")(NIL NIL NIL NIL)) NIL NIL NIL NIL)',
  );
  assert.match(envelope('Subject: \xfcb\n\n'), /^\(NIL \{2\}\r\n\xfcb NIL/);
  assert.match(envelope('Subject: a\0b\rc\n\n'), /^\(NIL \{4\}\r\nab\rc NIL/);
  assert.match(envelope('Subject: a\0b\n\n'), /^\(NIL "ab" NIL/);
  assert.match(envelope('Subject: =?utf-8?Q?=C3=BC?=\n folded\n\n'), /^\(NIL "=\?utf-8\?Q\?=C3=BC\?= folded" NIL/);
});

test('BODYSTRUCTURE: a text message, and defaults', () => {
  assert.equal(
    structure('From: a@b\n\nl1\nl2\n'),
    '("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 8 2 NIL NIL NIL NIL)',
  );
  assert.equal(basic('From: a@b\n\nl1\nl2\n'), '("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 8 2)');
  assert.equal(basic('Content-Type: text/html\n\nx'), '("text" "html" NIL NIL NIL "7bit" 1 0)');
  assert.equal(
    structure(
      'Content-Type: image/png; name="a\\"b"\nContent-Transfer-Encoding: BASE64\nContent-ID: <i>\nContent-Disposition: attachment\nContent-Language: en, de\n\n',
    ),
    '("image" "png" ("name" "a\\"b") "<i>" NIL "base64" 0 NIL ("attachment" NIL) ("en" "de") NIL)',
  );
});

const NESTED =
  'From: user@domain.org\nContent-Type: multipart/mixed; boundary="foo\n bar"\n\nRoot MIME prologue\n\n--foo bar\n' +
  'Content-Type: text/x-myown; charset=us-ascii\n\nhello\n\n--foo bar\nContent-Type: message/rfc822\n\nFrom: sub@domain.org\nSubject: submsg\n' +
  'Content-Type: multipart/alternative; boundary="sub1"\n\nSub MIME prologue\n--sub1\nContent-Type: text/html\n\n<p>Hello world</p>\n\n--sub1\n' +
  'Content-Type: text/plain\n\nHello another world\n\n--sub1--\nSub MIME epilogue\n\n--foo bar--\nRoot MIME epilogue\n';

test('BODYSTRUCTURE and BODY of nested parts', () => {
  assert.equal(
    basic(NESTED),
    '(("text" "x-myown" ("charset" "us-ascii") NIL NIL "7bit" 7 1)("message" "rfc822" NIL NIL NIL "7bit" 259 ' +
      '(NIL "submsg" ((NIL NIL "sub" "domain.org")) ((NIL NIL "sub" "domain.org")) ((NIL NIL "sub" "domain.org")) NIL NIL NIL NIL NIL) ' +
      '(("text" "html" NIL NIL NIL "7bit" 20 1)("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 21 1) "alternative") 17) "mixed")',
  );
  assert.match(structure(NESTED), /"mixed" \("boundary" "foo bar"\) NIL NIL NIL\)$/);
});

test('BODYSTRUCTURE: what the grammar has no form for', () => {
  assert.equal(
    basic('Content-Type: multipart/mixed; boundary=b\n\nnothing'),
    '(("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0) "mixed")',
  );
  assert.match(
    structure('Content-Type: multipart/mixed\n\n'),
    /^\(\("text".*0 0 NIL NIL NIL NIL\) "mixed" NIL NIL NIL NIL\)$/,
  );
  const deep = `${'Content-Type: message/rfc822\n\n'.repeat(150)}`;
  assert.match(basic(deep), /\("application" "octet-stream" NIL NIL NIL "7bit" \d+\)/);
});

const section = (message: Buffer, path: number[], what: SectionText): string | null => {
  const range = sectionRange(parseStructure(message), path, what);
  return range === null ? null : message.toString('latin1', range.start, range.end);
};

test('sections of nested parts (RFC 9051 §6.4.5)', () => {
  const message = crlf(NESTED);
  assert.equal(section(message, [], ''), message.toString('latin1'));
  assert.match(section(message, [], 'HEADER')!, /^From: user@domain.org\r\n.*bar"\r\n\r\n$/s);
  assert.match(section(message, [], 'TEXT')!, /^Root MIME prologue.*Root MIME epilogue\r\n$/s);
  assert.equal(section(message, [], 'MIME'), null);
  assert.equal(section(message, [1], ''), 'hello\r\n');
  assert.equal(section(message, [1], 'MIME'), 'Content-Type: text/x-myown; charset=us-ascii\r\n\r\n');
  assert.equal(section(message, [1], 'HEADER'), null);
  assert.equal(section(message, [1], 'TEXT'), null);
  assert.equal(section(message, [1, 1], ''), null);
  assert.match(section(message, [2], '')!, /^From: sub@domain.org.*Sub MIME epilogue\r\n$/s);
  assert.equal(section(message, [2], 'MIME'), 'Content-Type: message/rfc822\r\n\r\n');
  assert.match(section(message, [2], 'HEADER')!, /^From: sub@domain.org.*sub1"\r\n\r\n$/s);
  assert.match(section(message, [2], 'TEXT')!, /^Sub MIME prologue.*Sub MIME epilogue\r\n$/s);
  assert.equal(section(message, [2, 1], ''), '<p>Hello world</p>\r\n');
  assert.equal(section(message, [2, 2], 'MIME'), 'Content-Type: text/plain\r\n\r\n');
  assert.equal(section(message, [2, 2], ''), 'Hello another world\r\n');
  for (const path of [[3], [0], [2, 3], [2, 2, 1]]) assert.equal(section(message, path, ''), null);
  assert.equal(partAt(parseStructure(message), [2, 1])!.subtype, 'html');
});

test('part 1 of a message without parts is its body, also of messages in messages', () => {
  const plain = crlf('From: a@b\n\ntext\n');
  assert.equal(section(plain, [1], ''), 'text\r\n');
  assert.equal(section(plain, [2], ''), null);
  assert.equal(section(plain, [1, 1], ''), null);
  const twice = crlf('Content-Type: message/rfc822\n\nFrom: 2\nContent-Type: message/rfc822\n\nFrom: sub\n\nHello\n');
  assert.match(section(twice, [1], '')!, /^From: 2/);
  assert.equal(section(twice, [1, 1], ''), 'From: sub\r\n\r\nHello\r\n');
  assert.equal(section(twice, [1], 'HEADER'), 'From: 2\r\nContent-Type: message/rfc822\r\n\r\n');
  assert.equal(section(twice, [1], 'TEXT'), 'From: sub\r\n\r\nHello\r\n');
  assert.equal(section(twice, [1, 1, 1], ''), 'Hello\r\n');
  assert.equal(section(twice, [1, 1], 'HEADER'), 'From: sub\r\n\r\n');
  assert.equal(section(twice, [1, 1], 'TEXT'), 'Hello\r\n');
});

test('HEADER.FIELDS keeps the bytes of fields and the blank line', () => {
  const header = crlf('From: a\nSubject : x\n y\nnonsense\nX-A: 1\nFROM: b\n\n');
  const select = (names: string[], not: boolean) => Buffer.from(selectFields(header, names, not)).toString('latin1');
  assert.equal(select(['from', 'SUBJECT', 'none'], false), 'From: a\r\nSubject : x\r\n y\r\nFROM: b\r\n\r\n');
  assert.equal(select(['From'], true), 'Subject : x\r\n y\r\nnonsense\r\nX-A: 1\r\n\r\n');
  assert.equal(select(['none'], false), '\r\n');
  assert.equal(Buffer.from(selectFields(Buffer.from('A: 1\r\nB: 2\r\n'), ['b'], false)).toString(), 'B: 2\r\n');
});
