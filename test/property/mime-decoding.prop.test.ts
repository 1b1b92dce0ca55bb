/** Decoders on any input: streaming equals whole, encoding then decoding is the identity, and nothing throws or explodes. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseAddressList } from '../../core/mime/address.ts';
import { base64Shape, decodeExactly } from '../../core/mime/base64-lines.ts';
import { decodeCharset } from '../../core/mime/charset.ts';
import { parseDate } from '../../core/mime/date.ts';
import { decodeEncodedWords, decodeHeaderText } from '../../core/mime/encoded-word.ts';
import { parseHeader } from '../../core/mime/header.ts';
import { parameter, parseStructuredField } from '../../core/mime/parameters.ts';
import { selectFields } from '../../core/mime/section.ts';
import { sniffType } from '../../core/mime/sniff.ts';
import { htmlToText } from '../../core/mime/text.ts';
import { decodeTransfer } from '../../core/mime/transfer.ts';
import { TransferDecoder } from '../../core/mime/transfer-decoder.ts';

/** Random bytes, and random sequences of what decoders look for. */
const TRICKY = fc
  .array(
    fc.constantFrom(
      '=',
      '=\r\n',
      '\r\n',
      '\n',
      ' ',
      '\t',
      'QQ',
      'QUJD',
      '==',
      '=3D',
      '=C3',
      '?=',
      '=?utf-8?B?',
      '=?x*y?q?',
      '_',
      '"',
      '\\',
      '(',
      ')',
      '<',
      '>',
      '@',
      ',',
      ';',
      ':',
      "''",
      '%41',
      '*0*=',
      'a',
      '\xfc',
      '\0',
      '<!--',
      '&#x;',
      '</p ',
    ),
    { maxLength: 60 },
  )
  .map((parts) => Buffer.from(parts.join(''), 'latin1'));
const BYTES = fc.oneof(
  TRICKY,
  fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
);
const RUNS = { numRuns: 500 };

test('a transfer encoding taken off in pieces gives the same as at once', () => {
  fc.assert(
    fc.property(
      BYTES,
      fc.constantFrom('base64', 'quoted-printable', '8bit'),
      fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 5 }),
      (bytes, encoding, sizes) => {
        const decoder = new TransferDecoder(encoding);
        const pieces: Uint8Array[] = [];
        let at = 0;
        for (let i = 0; at < bytes.length; i++) {
          const size = sizes[i % sizes.length]!;
          pieces.push(Buffer.from(decoder.push(Buffer.from(bytes.subarray(at, at + size)))));
          at += size;
        }
        pieces.push(decoder.end());
        assert.deepEqual(Buffer.concat(pieces), Buffer.from(decodeTransfer(bytes, encoding)));
      },
    ),
    RUNS,
  );
});

test('exact base64 lines decode to what encodes to them, and any changed character is noticed', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 100, maxLength: 600 }),
      fc.constantFrom(4, 60, 76),
      fc.constantFrom('\r\n', '\n'),
      fc.nat(),
      fc.nat(255),
      (bytes, length, eol, place, value) => {
        const text = Buffer.from(bytes).toString('base64');
        const lines: string[] = [];
        for (let at = 0; at < text.length; at += length) lines.push(text.slice(at, at + length));
        const encoded = Buffer.from(lines.join(eol), 'latin1');
        const shape = base64Shape(encoded)!;
        assert.deepEqual(shape, { lineLength: length, eol });
        assert.deepEqual(decodeExactly(encoded, shape, true), Buffer.from(bytes));
        const changed = Buffer.from(encoded);
        changed[place % changed.length] = value;
        const decoded = decodeExactly(changed, shape, true);
        if (decoded === null) return;
        const again = Buffer.from(decoded)
          .toString('base64')
          .replace(new RegExp(`.{${length}}(?=.)`, 'g'), `$&${eol}`);
        assert.equal(again, changed.toString('latin1'));
      },
    ),
    RUNS,
  );
});

const TEXT = fc.string({ unit: 'grapheme', maxLength: 60 }).filter((value) => value.isWellFormed());
const hex = (bytes: Uint8Array, mark: string): string =>
  [...bytes].map((byte) => mark + byte.toString(16).toUpperCase().padStart(2, '0')).join('');

/** The bytes in pieces of the sizes given, in turn. */
function cut(bytes: Buffer, sizes: readonly number[]): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0, i = 0; at < bytes.length; i++) {
    pieces.push(bytes.subarray(at, at + sizes[i % sizes.length]!));
    at += sizes[i % sizes.length]!;
  }
  return pieces;
}
const SIZES = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 4 });

test('text in encoded words comes back, wherever they were split', () => {
  fc.assert(
    fc.property(TEXT, SIZES, fc.boolean(), fc.constantFrom(' ', '\r\n ', '\t '), (value, sizes, isQ, space) => {
      const words = cut(Buffer.from(value), sizes).map((piece) =>
        isQ ? `=?utf-8?Q?${hex(piece, '=')}?=` : `=?UTF-8*en?b?${piece.toString('base64')}?=`,
      );
      assert.equal(decodeEncodedWords(words.join(space)), value);
    }),
    RUNS,
  );
});

test('a parameter in sections comes back, wherever they were split and in any order', () => {
  fc.assert(
    fc.property(TEXT, SIZES, fc.boolean(), (value, sizes, isReversed) => {
      const bytes = Buffer.from(value);
      const sections = cut(bytes, sizes).map(
        (piece, index) => `; name*${index}*=${index === 0 ? "utf-8''" : ''}${hex(piece, '%')}`,
      );
      if (isReversed) sections.reverse();
      const { params } = parseStructuredField(Buffer.from(`a/b${sections.join('')}`));
      assert.equal(parameter(params, 'name'), bytes.length === 0 ? null : value);
    }),
    RUNS,
  );
});

test('no input makes a decoder throw', () => {
  fc.assert(
    fc.property(BYTES, (bytes) => {
      const text = bytes.toString('latin1');
      decodeHeaderText(bytes);
      decodeEncodedWords(text);
      decodeCharset(bytes, text);
      parseDate(text);
      parseAddressList(bytes);
      sniffType(bytes);
      const { params } = parseStructuredField(bytes);
      for (const [name] of params) parameter(params, name);
      assert.ok(htmlToText(text, 50).text.length <= 50);
      const header = parseHeader(bytes);
      const both = selectFields(bytes, ['a'], false).length + selectFields(bytes, ['a'], true).length;
      const blank = header.end - (header.fields.at(-1)?.end ?? 0);
      assert.equal(both, header.end + blank);
    }),
    RUNS,
  );
});

test('cost grows with the input, not with its square', () => {
  const pieces = [
    '=?a?q?',
    '=',
    '(',
    '\\(',
    '"',
    '<a ',
    '<!--',
    '&',
    'a,',
    ';',
    "a*0*='",
    '=\t',
    ' \r\n',
    ':',
    '\n',
    '<p>',
  ];
  for (const piece of pieces) {
    const bytes = Buffer.from(piece.repeat(Math.floor(400_000 / piece.length)));
    const started = performance.now();
    decodeHeaderText(bytes);
    parseAddressList(bytes);
    parseStructuredField(bytes);
    decodeTransfer(bytes, 'quoted-printable');
    decodeTransfer(bytes, 'base64');
    decodeTransfer(bytes, 'x-uuencode');
    htmlToText(bytes.toString('latin1'), 1_000_000);
    parseHeader(bytes);
    assert.ok(performance.now() - started < 2000, piece);
  }
});
