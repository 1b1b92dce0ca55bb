/** Encoded words: the examples of RFC 2047 §8 and RFC 2231 §5, and what mailers write. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeEncodedWords, decodeHeaderText } from '../../core/mime/encoded-word.ts';

const CASES: readonly (readonly [name: string, input: string, output: string])[] = [
  ['one word', '=?ISO-8859-1?Q?a?=', 'a'],
  ['a word and text', '=?ISO-8859-1?Q?a?= b', 'a b'],
  ['white space between words is dropped', '=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=', 'ab'],
  ['also when there is much of it', '=?ISO-8859-1?Q?a?=  \t =?ISO-8859-1?Q?b?=', 'ab'],
  ['an underscore is a space', '=?ISO-8859-1?Q?a_b?=', 'a b'],
  ['an encoded space between words stays', '=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=', 'a b'],
  ['an example of RFC 2047', '=?US-ASCII?Q?Keith_Moore?= <moore@cs.utk.edu>', 'Keith Moore <moore@cs.utk.edu>'],
  ['accents', '=?ISO-8859-1?Q?Andr=E9?= Pirard', 'André Pirard'],
  ['base64', '=?ISO-8859-1?B?SWYgeW91IGNhbiByZWFkIHRoaXMgeW8=?=', 'If you can read this yo'],
  ['a language', '=?US-ASCII*EN?Q?Keith_Moore?=', 'Keith Moore'],
  ['a character split between B words', '=?utf-8?B?YcM=?= =?utf-8?B?vGI=?=', 'aüb'],
  ['a character split between Q words', '=?utf-8?Q?=C3?= =?utf-8?Q?=BC?=', 'ü'],
  ['a word within text', 'x=?utf-8?q?=C3=BC?=y', 'xüy'],
  ['blanks inside, against the rules', '=?utf-8?Q?a b?=', 'a b'],
  ['a question mark inside, against the rules', '=?utf-8?Q?what??=', 'what?'],
  ['no word: unknown encoding', '=?utf-8?X?abc?=', '=?utf-8?X?abc?='],
  ['no word: unclosed', 'a =?utf-8?Q?abc', 'a =?utf-8?Q?abc'],
  ['an unknown charset', '=?x-none?Q?=C3=BC?=', 'ü'],
  ['Japanese in two words', '=?ISO-2022-JP?B?GyRCRnwbKEI=?= =?ISO-2022-JP?B?GyRCS1wbKEI=?=', '日本'],
  ['Japanese', '=?ISO-2022-JP?B?GyRCRnxLXBsoQg==?=', '日本'],
];

for (const [name, input, output] of CASES)
  test(`encoded words: ${name}`, () => {
    assert.equal(decodeEncodedWords(input), output);
    assert.equal(decodeEncodedWords(Buffer.from(input, 'latin1')), output);
  });

test('header text is unfolded; raw 8-bit is UTF-8 or else windows-1252', () => {
  assert.equal(decodeHeaderText(Buffer.from(' a\r\n b ü ', 'utf8')), 'a b ü');
  assert.equal(decodeHeaderText(Buffer.from('\xfc\x80', 'latin1')), 'ü€');
  assert.equal(decodeHeaderText(Buffer.from(' =?utf-8?Q?a?=\r\n =?utf-8?Q?b?= c')), 'ab c');
});

test('half a megabyte of beginnings takes no quadratic time', () => {
  const started = performance.now();
  decodeEncodedWords('=?a?q?'.repeat(100_000));
  decodeEncodedWords('=?'.repeat(250_000));
  decodeEncodedWords('=?utf-8?q?x?= '.repeat(40_000));
  assert.ok(performance.now() - started < 2000);
});
