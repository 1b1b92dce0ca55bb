/** Goal: what the writer writes the parser reads back, encodings have inverses, and the matcher is what LIST means. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatDateTime, readDate, readDateTime } from '../../core/imap/date-time.ts';
import { checkWork, listMatcher } from '../../core/imap/list-match.ts';
import { decodeMutf7, encodeMutf7 } from '../../core/imap/mutf7.ts';
import { ArgParser, BadSyntax, type Piece } from '../../core/imap/parser.ts';
import { literalAtEnd } from '../../core/imap/reader.ts';
import { formatSequenceSet } from '../../core/imap/sequence-set.ts';
import { ImapWriter } from '../../core/imap/writer.ts';
import type { Wire } from '../../core/mail/wire.ts';

/** What the writer gives to its wire. */
function written(write: (out: ImapWriter) => void): Buffer {
  const pieces: Uint8Array[] = [];
  const out = new ImapWriter({ write: (bytes: Uint8Array) => pieces.push(bytes) } as unknown as Wire);
  write(out);
  out.handOver();
  return Buffer.concat(pieces);
}

const parserOf = (text: string): ArgParser => new ArgParser([{ t: 'text', bytes: Buffer.from(text, 'latin1') }]);

/** A literal as the reader hands it on. */
function pieces(bytes: Buffer): Piece[] {
  const end = bytes.indexOf('\r\n');
  const header = end < 0 ? null : literalAtEnd(bytes.subarray(0, end));
  if (header === null) return [{ t: 'text', bytes }];
  return [
    { t: 'text', bytes: bytes.subarray(0, end - header.length) },
    { t: 'literal', bytes: bytes.subarray(end + 2), binary: false },
  ];
}

test('a string written is read as the same bytes', () => {
  const bytes = fc.oneof(
    fc.uint8Array({ min: 1, maxLength: 60 }),
    fc.uint8Array({ min: 32, max: 126, maxLength: 1200 }),
  );
  fc.assert(
    fc.property(bytes, (value) => {
      const parser = new ArgParser(pieces(written((out) => out.string(value))));
      assert.deepEqual(Buffer.from(parser.string()), Buffer.from(value));
      parser.end();
    }),
    { numRuns: 500 },
  );
});

test('8-bit bytes, controls and long strings go as literals', () => {
  assert.equal(written((out) => out.string('a\tb')).toString(), '{3}\r\na\tb');
  assert.equal(written((out) => out.string('é')).toString(), '{2}\r\né');
  assert.equal(written((out) => out.string('a"\\b')).toString(), '"a\\"\\\\b"');
  assert.equal(written((out) => out.nstring(null)).toString(), 'NIL');
  assert.match(written((out) => out.string('x'.repeat(1025))).toString(), /^\{1025\}\r\nx+$/);
});

test('numbers are written in full', () => {
  fc.assert(
    fc.property(fc.maxSafeNat(), (value) => {
      assert.equal(written((out) => out.ascii('x').number(value)).toString(), `x${value}`);
    }),
  );
  for (const value of [0, 9, 10, 99, 100, 2 ** 32, Number.MAX_SAFE_INTEGER]) {
    assert.equal(written((out) => out.number(value)).toString(), String(value));
  }
});

test('modified UTF-7 has an inverse for every name, and is ASCII', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 30 }), (name) => {
      const encoded = encodeMutf7(name);
      assert.match(encoded, /^[\x20-\x7e]*$/);
      assert.equal(decodeMutf7(Buffer.from(encoded)), name);
    }),
  );
  assert.equal(decodeMutf7(Buffer.from('~peter/mail/&U,BTFw-/&ZeVnLIqe-')), '~peter/mail/台北/日本語');
  for (const wrong of ['&', 'a&', '&AOk', '&A-', '&AO-', '&AOl-', '&2D0-', 'é', '&!!-', '&AOkA-']) {
    assert.equal(decodeMutf7(Buffer.from(wrong)), null, wrong);
  }
});

test('sequence sets are read as they were written, and zero never', () => {
  const numbers = fc.uniqueArray(fc.integer({ min: 1, max: 2 ** 32 - 1 }), { minLength: 1 });
  fc.assert(
    fc.property(numbers, (unsorted) => {
      const sorted = unsorted.toSorted((a, b) => a - b);
      const parser = parserOf(formatSequenceSet(sorted));
      const members = parser.sequenceSet().ranges.flatMap(({ from, to }) => {
        const [low, high] = [from as number, to as number];
        return Array.from({ length: high - low + 1 }, (_, i) => low + i);
      });
      parser.end();
      assert.deepEqual(members, sorted);
    }),
  );
  assert.deepEqual(parserOf('5,*:2,7').sequenceSet().ranges, [
    { from: 5, to: 5 },
    { from: '*', to: 2 },
    { from: 7, to: 7 },
  ]);
  assert.deepEqual(parserOf('$').sequenceSet(), { ranges: [], saved: true });
  for (const wrong of ['0', '1:0', '0:*', '', ',', '1,', '1:', ':1', '4294967296', '99999999999', 'a', '(1)']) {
    assert.throws(() => parserOf(wrong).sequenceSet(), BadSyntax, wrong);
  }
});

test('date-time is read as it was written, and only real days are', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 253_402_300_799 }), (seconds) => {
      assert.equal(readDateTime(formatDateTime(seconds)), seconds);
    }),
  );
  assert.equal(readDateTime('17-Jul-1996 02:44:25 -0700'), Date.UTC(1996, 6, 17, 9, 44, 25) / 1000);
  assert.equal(readDate('1-feb-1994'), Date.UTC(1994, 1, 1) / 1000);
  for (const wrong of ['31-Feb-1994', '0-Jan-1994', '1-Foo-1994', '1-Jan-94', '1-Jan-19944', '001-Jan-1994']) {
    assert.equal(readDate(wrong), null, wrong);
  }
  for (const wrong of ['17-Jul-1996 24:00:00 +0000', '17-Jul-1996 02:44:25', '17-Jul-1996 02:44:25 +2400', '']) {
    assert.equal(readDateTime(wrong), null, wrong);
  }
});

/** LIST's meaning straight from its definition. */
function means(pattern: string, name: string): boolean {
  if (pattern === '') return name === '';
  const rest = pattern.slice(1);
  if (pattern[0] === '*') return means(rest, name) || (name !== '' && means(pattern, name.slice(1)));
  if (pattern[0] === '%') {
    return means(rest, name) || (name !== '' && name[0] !== '/' && means(pattern, name.slice(1)));
  }
  return name[0] === pattern[0] && means(rest, name.slice(1));
}

test('the matcher says what the definition of * and % says', () => {
  const pattern = fc.string({ unit: fc.constantFrom('a', 'b', '/', '*', '%'), maxLength: 7 });
  const name = fc.string({ unit: fc.constantFrom('a', 'b', '/'), maxLength: 8 });
  fc.assert(
    fc.property(pattern, fc.array(name, { maxLength: 6 }), (one, names) => {
      const matches = listMatcher(one);
      for (const text of names) assert.equal(matches(text), means(one, text), `${one} ${text}`);
    }),
    { numRuns: 2000 },
  );
});

test('nesting is bounded', () => {
  const open = (depth: number): void => {
    const parser = parserOf('('.repeat(depth));
    for (let i = 0; i < depth; i++) parser.open();
  };
  open(64);
  assert.throws(() => open(65), BadSyntax);
});

test('patterns and names that are too much together are refused', () => {
  const names = Array.from({ length: 10_000 }, () => 'a'.repeat(40));
  checkWork(['*'], names);
  assert.throws(() => checkWork(['*a%'.repeat(80)], names), { reply: 'limitReached' });
});
