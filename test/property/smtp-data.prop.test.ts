/** Goal: mail data, chunks and command lines are read the same however the stream is cut, as a plain reading gives them. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ChunkCheck } from '../../core/smtp/chunk-check.ts';
import { DataReader } from '../../core/smtp/data-reader.ts';
import { LineReader } from '../../core/smtp/line-reader.ts';

/** Streams of the bytes that matter, and some that do not. */
const stream = fc
  .array(fc.constantFrom('\r\n', '\r', '\n', '.', '\r\n.', '\r\n.\r\n', '\r\n..', '\n.\n', 'a', 'bc', '\0', '\xff'), {
    maxLength: 40,
  })
  .map((parts) => parts.join(''));

/** Cuts a stream at the given places (taken modulo its length). */
const cuts = fc.array(fc.nat(200), { maxLength: 12 });

function pieces(text: string, at: readonly number[]): Buffer[] {
  const places = [...new Set(at.map((place) => place % (text.length + 1)))].sort((a, b) => a - b);
  return [...places, text.length].map((end, i) => Buffer.from(text.slice(places[i - 1] ?? 0, end), 'latin1'));
}

interface Reading {
  readonly message: string;
  /** Behind the data's end, or −1. */
  readonly end: number;
  readonly bare: boolean;
}

const isBare = (text: string): boolean => text.replaceAll('\r\n', '').search(/[\r\n]/) >= 0;

/** RFC 5321 §4.5.2 as it is written, on the whole stream. */
function plainly(text: string): Reading {
  const whole = `\r\n${text}`;
  const last = whole.indexOf('\r\n.\r\n');
  const data = last < 0 ? whole : whole.slice(0, last + 2);
  const message = data
    .slice(2)
    .split('\r\n')
    .map((line) => (line.startsWith('.') ? line.slice(1) : line));
  return { message: message.join('\r\n'), end: last < 0 ? -1 : last + 3, bare: isBare(data) };
}

function inPieces(text: string, at: readonly number[]): Reading {
  const reader = new DataReader();
  const got: Buffer[] = [];
  let before = 0;
  for (const piece of pieces(text, at)) {
    const { bytes, end } = reader.take(piece);
    got.push(Buffer.from(bytes));
    if (end >= 0) {
      return { message: Buffer.concat(got).toString('latin1'), end: before + end, bare: reader.bareLineEnd };
    }
    before += piece.length;
  }
  return { message: Buffer.concat(got).toString('latin1'), end: -1, bare: reader.bareLineEnd };
}

test('DATA ends at CRLF . CRLF only and gives what a plain reading gives, in any chunking', () => {
  fc.assert(
    fc.property(stream, cuts, (text, at) => {
      const ended = plainly(`${text}\r\n.\r\n`);
      assert.deepEqual(inPieces(`${text}\r\n.\r\n`, at), ended);
      const plain = plainly(text);
      const cut = inPieces(text, at);
      assert.equal(cut.end, plain.end);
      if (plain.end >= 0) assert.deepEqual(cut, plain);
      // What is held back is never more than could be the end.
      else
        assert.ok(plain.message.startsWith(cut.message) || plain.message === '', `${cut.message} of ${plain.message}`);
    }),
    { numRuns: 2000 },
  );
});

test('stuffing dots and taking them off gives the message back', () => {
  fc.assert(
    fc.property(stream, cuts, (text, at) => {
      const message = text === '' || text.endsWith('\r\n') ? text : `${text}\r\n`;
      const stuffed = message
        .split('\r\n')
        .map((line) => (line.startsWith('.') ? `.${line}` : line))
        .join('\r\n');
      const reading = inPieces(`${stuffed}.\r\n`, at);
      assert.equal(reading.message, message);
      assert.equal(reading.end, stuffed.length + 3);
      assert.equal(reading.bare, isBare(message));
    }),
    { numRuns: 2000 },
  );
});

test('bare line ends in chunks are found across their borders', () => {
  fc.assert(
    fc.property(stream, cuts, (text, at) => {
      const check = new ChunkCheck();
      for (const piece of pieces(text, at)) check.take(piece);
      assert.equal(check.bareLineEnd || check.endsInCr, isBare(text));
    }),
    { numRuns: 2000 },
  );
});

test('command lines end at CRLF only, and are the same in any chunking', () => {
  fc.assert(
    fc.property(stream, cuts, (text, at) => {
      const max = 20;
      const expected = text
        .split('\r\n')
        .slice(0, -1)
        .map((line) => {
          if (line.length + 2 > max) return 'tooLong';
          return /[\0\r\n\xff]/.test(line) ? 'malformed' : line;
        });
      const reader = new LineReader(max);
      const got: string[] = [];
      for (const piece of pieces(text, at)) {
        for (let found = reader.next(piece, 0); found !== undefined; found = reader.next(piece, found.end)) {
          got.push(found.line.t === 'line' ? found.line.text : found.line.t);
        }
      }
      assert.deepEqual(got, expected);
      assert.equal(reader.pending, text.length - (text.lastIndexOf('\r\n') < 0 ? 0 : text.lastIndexOf('\r\n') + 2));
    }),
    { numRuns: 2000 },
  );
});
