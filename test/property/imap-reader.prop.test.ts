/** Goal: the reader gives the same commands in any chunking, and a refusal never makes it take data for a command. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { LIMITS_BEFORE_LOGIN } from '../../core/imap/limits.ts';
import { ImapReader, literalAtEnd } from '../../core/imap/reader.ts';
import { chunked } from '../support/chunks.ts';

const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');

/** Reads everything, refusing literals that are too large or whose command begins with `no`; events as text. */
function read(chunks: readonly Uint8Array[]): string[] {
  const reader = new ImapReader(LIMITS_BEFORE_LOGIN);
  const events: string[] = [];
  for (const chunk of chunks) {
    reader.push(chunk);
    for (let event = reader.next(); event !== null; event = reader.next()) {
      if (event.t === 'overflow') events.push(`overflow ${latin1(event.head).slice(0, 20)}`);
      else if (event.t === 'flood') return [...events, 'flood'];
      else if (event.t === 'command') {
        events.push(`command ${event.pieces.map((piece) => `${piece.t}:${latin1(piece.bytes)}`).join('|')}`);
      } else {
        const first = latin1(event.pieces[0]!.bytes);
        const refused = reader.literalProblem() !== null || first.startsWith('no');
        events.push(`${refused ? 'refused' : 'literal'} ${event.header.size}`);
        if (!refused) reader.accept();
        else if (!reader.refuse()) return [...events, 'too much'];
      }
    }
  }
  return events;
}

const word = fc.constantFrom(
  'a1',
  'no',
  'NOOP',
  '"q"',
  '{3}',
  '{3+}',
  '~{2+}',
  '{0+}',
  '{5000+}',
  '{',
  '}',
  'x'.repeat(3000),
);
const line = fc.array(word, { maxLength: 5 }).map((words) => words.join(' '));
const stream = fc
  .array(fc.tuple(line, fc.constantFrom('\r\n', '\r\n', '\n', '\r\n\0\xff\r\n', '\r')), { maxLength: 12 })
  .map((lines) => Buffer.from(lines.map(([text, end]) => text + end).join(''), 'latin1'));

test('any chunking gives the same events', () => {
  fc.assert(
    fc.property(stream, fc.array(fc.nat(40), { maxLength: 30 }), (bytes, sizes) => {
      assert.deepEqual(read(chunked(bytes, sizes)), read([bytes]));
    }),
    { numRuns: 500 },
  );
});

test('what lies inside of literals is never read as a line', () => {
  const command = fc.tuple(
    fc.constantFrom('ok', 'no'),
    fc.array(fc.constantFrom('X\r\n', '{9}\r\n', 'y', '\n'), { maxLength: 6 }),
  );
  fc.assert(
    fc.property(fc.array(command, { maxLength: 6 }), fc.array(fc.nat(9)), (commands, sizes) => {
      const text = commands.map(([verb, parts]) => {
        const body = parts.join('');
        return `${verb} {${body.length}+}\r\n${body}.\r\n`;
      });
      const events = read(chunked(Buffer.from(text.join('')), sizes));
      const wanted = commands.flatMap(([verb, parts]) => {
        const body = parts.join('');
        if (verb === 'no') return [`refused ${body.length}`];
        return [`literal ${body.length}`, `command text:ok |literal:${body}|text:.`];
      });
      assert.deepEqual(events, wanted);
    }),
    { numRuns: 300 },
  );
});

test('a literal is found at the end of a line only, in its exact form', () => {
  const at = (text: string) => literalAtEnd(Buffer.from(text));
  assert.deepEqual(at('a {12}'), { size: 12, sync: true, binary: false, length: 4 });
  assert.deepEqual(at('a {12+}'), { size: 12, sync: false, binary: false, length: 5 });
  assert.deepEqual(at('~{0+}'), { size: 0, sync: false, binary: true, length: 5 });
  for (const text of ['', '}', '{}', '{+}', '{a}', '12}', '{1 }', '{1-}', '{1}x', '+}'])
    assert.equal(at(text), null, text);
  assert.equal(at(`{${'9'.repeat(20)}}`)!.sync, true);
});
