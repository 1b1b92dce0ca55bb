/** For any message: the same structure in any chunking, offsets that add up, an encoding that is an identity, no throw. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { bodystructureBytes } from '../../core/mime/bodystructure.ts';
import type { Part } from '../../core/mime/part.ts';
import { sectionRange } from '../../core/mime/section.ts';
import { parseStructure, StructureParser } from '../../core/mime/structure.ts';
import { decodeStructure, encodeStructure, shiftStructure } from '../../core/mime/structure-code.ts';

/** Lines that mean something to the parser, so that random sequences of them come near to messages. */
const LINE = fc.constantFrom(
  '',
  '',
  '',
  'text',
  '--a',
  '--ab',
  '--a--',
  '--ab--',
  '--',
  '-',
  '--b ',
  ' folded',
  'Subject: x',
  'From: a <a@b>, c',
  'Content-Type: multipart/mixed; boundary=a',
  'Content-Type: multipart/digest; boundary="ab"',
  'Content-Type: multipart/mixed; boundary=b',
  'Content-Type: message/rfc822',
  'Content-Type: text/html; charset="x',
  'Content-Type: image/png; name*0="a"; name*1*=b',
  'Content-Disposition: attachment; filename="\xfc.x"',
  'Content-Transfer-Encoding: base64',
  'Content-Language: de, en',
  'garbage \0 \xff',
);
/** Mostly of one kind, as in messages; sometimes anything. */
const EOL = fc.oneof(
  { weight: 8, arbitrary: fc.constant('\r\n') },
  { weight: 1, arbitrary: fc.constantFrom('\n', '\r', '', '\r\r\n') },
);
const START = fc.constantFrom(
  '',
  'Content-Type: multipart/mixed; boundary=a\r\n\r\n',
  'Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n\r\n',
  'Content-Type: multipart/mixed; boundary=ab\n\n--ab\nContent-Type: multipart/digest; boundary=a\n\n--a\n\n',
);
const MESSAGE = fc
  .tuple(START, fc.array(fc.tuple(LINE, EOL), { maxLength: 40 }))
  .map(([start, lines]) => Buffer.from(start + lines.map(([line, eol]) => line + eol).join(''), 'latin1'));
const RUNS = { numRuns: 600 };

function parseInChunks(message: Buffer, sizes: readonly number[]): Part {
  const parser = new StructureParser();
  let at = 0;
  for (let i = 0; at < message.length; i++) {
    const size = sizes[i % sizes.length]!;
    parser.push(Buffer.from(message.subarray(at, at + size)));
    at += size;
  }
  const part = parser.end();
  assert.equal(parser.size, message.length);
  return part;
}

test('any chunking gives the same structure', () => {
  fc.assert(
    fc.property(
      MESSAGE,
      fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 8 }),
      (message, sizes) => {
        assert.deepEqual(parseInChunks(message, sizes), parseStructure(message));
      },
    ),
    RUNS,
  );
});

function checkOffsets(message: Buffer, part: Part, start: number, end: number): void {
  assert.ok(start <= part.headerStart && part.headerStart <= part.headerEnd);
  assert.equal(part.headerEnd, part.bodyStart);
  assert.ok(part.bodyStart <= part.bodyEnd && part.bodyEnd <= end);
  const lines = message.subarray(part.bodyStart, part.bodyEnd).filter((byte) => byte === 10).length;
  assert.equal(part.lines, lines, 'lines');
  let at = part.bodyStart;
  for (const child of part.children) {
    checkOffsets(message, child, at, part.bodyEnd);
    at = child.bodyEnd;
  }
  if (part.message !== null) {
    const inner = part.message.part;
    assert.deepEqual([inner.headerStart, inner.bodyEnd], [part.bodyStart, part.bodyEnd]);
    checkOffsets(message, inner, part.bodyStart, part.bodyEnd);
  }
}

test('offsets add up: the root is the message, children lie in order within their parents', () => {
  fc.assert(
    fc.property(MESSAGE, (message) => {
      const root = parseStructure(message);
      assert.deepEqual([root.headerStart, root.bodyEnd], [0, message.length]);
      checkOffsets(message, root, 0, message.length);
      const whole = sectionRange(root, [], '')!;
      assert.deepEqual([whole.start, whole.end], [0, message.length]);
    }),
    RUNS,
  );
});

test('encoding is an identity, and a shifted structure is that of the message with a longer header', () => {
  fc.assert(
    fc.property(MESSAGE, (message) => {
      const root = parseStructure(message);
      assert.deepEqual(decodeStructure(encodeStructure(root)), root);
      const line = Buffer.from('Delivered-To: x\r\n');
      // white space at the beginning would become a part of the line put before it
      if (message[0] === 32) return;
      assert.deepEqual(shiftStructure(root, line.length), parseStructure(Buffer.concat([line, message])));
    }),
    RUNS,
  );
});

test('a damaged record is refused or decoded, never fatal', () => {
  fc.assert(
    fc.property(MESSAGE, fc.nat(), fc.nat(255), (message, place, value) => {
      const bytes = Buffer.from(encodeStructure(parseStructure(message)));
      bytes[place % bytes.length] = value;
      try {
        decodeStructure(bytes);
      } catch (thrown) {
        assert.match(String(thrown), /stored structure/);
      }
    }),
    RUNS,
  );
});

/** Reads one parenthesized list of strings, literals, NIL and numbers: the grammar's skeleton. */
function readList(text: string, start: number): number {
  assert.equal(text[start], '(');
  let at = start + 1;
  while (text[at] !== ')') {
    if (text[at] === ' ') at++;
    if (text[at] === '(') at = readList(text, at);
    else if (text[at] === '"') {
      for (at++; text[at] !== '"'; at++) {
        assert.ok(at < text.length && !/[\r\n\0\x80-\xff]/.test(text[at]!));
        if (text[at] === '\\') at++;
      }
      at++;
    } else if (text[at] === '{') {
      const close = text.indexOf('}\r\n', at);
      at = close + 3 + Number(text.slice(at + 1, close));
    } else {
      const atom = /^(?:NIL|\d+)(?=[ )])/.exec(text.slice(at, at + 20));
      assert.ok(atom, `at ${at} of ${text}`);
      at += atom[0].length;
    }
  }
  return at + 1;
}

test('BODYSTRUCTURE is grammatical whatever the message is', () => {
  fc.assert(
    fc.property(MESSAGE, (message) => {
      const text = Buffer.from(bodystructureBytes(parseStructure(message))).toString('latin1');
      assert.equal(readList(text, 0), text.length);
      assert.doesNotMatch(text, /\(\)/);
    }),
    RUNS,
  );
});
