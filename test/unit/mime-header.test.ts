/** Header fields: ranges, folding, what is no field, and limits. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fieldText, fieldValue, findField, parseHeader, unfold } from '../../core/mime/header.ts';

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');

test('fields cover the header without gaps and end behind the blank line', () => {
  const message = bytes('From: a@b\r\nSubject: one\r\n two\r\n\tthree\r\nX-Y : z\r\n\r\nbody');
  const header = parseHeader(message);
  assert.deepEqual(
    header.fields.map((field) => field.name),
    ['From', 'Subject', 'X-Y'],
  );
  assert.equal(header.end, message.indexOf('body'));
  let at = 0;
  for (const field of header.fields) {
    assert.equal(field.start, at);
    at = field.end;
  }
  assert.equal(at, header.end - 2);
  const subject = findField(header, 'subject')!;
  assert.equal(Buffer.from(fieldValue(message, subject)).toString(), ' one\r\n two\r\n\tthree');
  assert.equal(fieldText(message, subject), 'one two\tthree');
  assert.equal(fieldText(message, findField(header, 'x-y')!), 'z');
});

test('bare line feeds and a missing end are accepted', () => {
  const header = parseHeader(bytes('A: 1\nB: 2\n c\n\nbody'));
  assert.deepEqual(
    header.fields.map((field) => field.lower),
    ['a', 'b'],
  );
  assert.equal(header.end, 14);
  const open = parseHeader(bytes('A: 1\nB: 2'));
  assert.equal(open.end, 9);
  assert.equal(open.fields[1]!.end, 9);
});

test('a line that is no field has no name and ends nothing', () => {
  const header = parseHeader(bytes('A: 1\r\nnonsense\r\n: x\r\nsp ace: y\r\nB: 2\r\n\r\n'));
  assert.deepEqual(
    header.fields.map((field) => field.name),
    ['A', '', '', '', 'B'],
  );
});

test('a header that begins with a blank line or white space, and none at all', () => {
  assert.deepEqual(parseHeader(bytes('\r\nbody')), { fields: [], end: 2, truncated: false });
  assert.deepEqual(parseHeader(bytes('')), { fields: [], end: 0, truncated: false });
  assert.equal(parseHeader(bytes(' folded\r\nA: 1\r\n\r\n')).fields.length, 2);
});

test('100,000 fields are counted, listed up to the limit, and told to be cut', () => {
  const header = parseHeader(bytes(`${'X: y\r\n'.repeat(100_000)}\r\nbody`));
  assert.equal(header.truncated, true);
  assert.equal(header.fields.length, 20_000);
  assert.equal(header.end, 600_002);
});

test('unfold takes out only line ends that white space follows', () => {
  assert.equal(Buffer.from(unfold(bytes('a\r\n b\n\tc'))).toString(), 'a b\tc');
  const plain = bytes('abc');
  assert.equal(unfold(plain), plain);
});
