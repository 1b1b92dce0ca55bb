/** Charsets by label, and labels that are wrong. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeCharset } from '../../core/mime/charset.ts';

const latin = (text: string): Buffer => Buffer.from(text, 'latin1');

test('charsets that the platform, and those that only the library knows', () => {
  assert.equal(decodeCharset(Buffer.from('ü€', 'utf8'), 'UTF-8'), 'ü€');
  assert.equal(decodeCharset(latin('\xfc'), 'ISO-8859-1'), 'ü');
  assert.equal(decodeCharset(latin('\xa4'), 'iso-8859-15'), '€');
  assert.equal(decodeCharset(latin('\x1b$BF|K\\\x1b(B'), 'iso-2022-jp'), '日本');
  assert.equal(decodeCharset(latin('\xc4\xe3'), 'gb2312'), '你');
  assert.equal(decodeCharset(latin('\xcf\xf0'), 'koi8-r'), 'оП');
  assert.equal(decodeCharset(latin('+AOQ-'), 'utf-7'), 'ä');
  assert.equal(decodeCharset(latin('+AOQ-'), 'unicode-1-1-utf-7'), 'ä');
  assert.equal(decodeCharset(latin('\x81'), 'cp437'), 'ü');
});

test('unknown, missing and lying labels: UTF-8 if valid, else windows-1252', () => {
  for (const label of ['', 'us-ascii', 'x-nonsense', '  ', 'base64', 'hex', 'binary', 'a'.repeat(1000)]) {
    assert.equal(decodeCharset(Buffer.from('ü', 'utf8'), label), 'ü', label);
    assert.equal(decodeCharset(latin('\xfc\x80'), label), 'ü€', label);
  }
});

test('bytes that are not of the charset do not throw', () => {
  assert.equal(decodeCharset(latin('a\xff'), 'utf-8'), 'a\ufffd');
});
