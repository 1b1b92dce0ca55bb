/** sequence-set (RFC 9051 §9): reading and writing. Numbers are 1 … 2^32−1; zero is a syntax error. */

import { BadSyntax } from './bad-syntax.ts';
import { isDigit } from './characters.ts';

interface SequenceRange {
  /** As written: `from` may be greater than `to` (RFC 9051 §9: the order does not matter). */
  readonly from: number | '*';
  readonly to: number | '*';
}

export interface SequenceSet {
  /** In the order written; may overlap. Empty when `saved`. */
  readonly ranges: readonly SequenceRange[];
  /** `$`, the saved search result (RFC 5182). */
  readonly saved: boolean;
}

/** Bytes of one set. */
const SET_BYTES_MAX = 64 * 1024;
const STAR = 0x2a;
const COLON = 0x3a;
const COMMA = 0x2c;
const DOLLAR = 0x24;

/** Reads the set at `start`; `end` is behind it. */
export function parseSequenceSet(bytes: Uint8Array, start: number): { set: SequenceSet; end: number } {
  if (bytes[start] === DOLLAR) return { set: { ranges: [], saved: true }, end: start + 1 };
  const ranges: SequenceRange[] = [];
  let at = start;
  const number = (): number | '*' => {
    if (bytes[at] === STAR) {
      at++;
      return '*';
    }
    const first = at;
    let value = 0;
    while (at < bytes.length && isDigit(bytes[at]!)) value = value * 10 + bytes[at++]! - 0x30;
    if (at === first) throw new BadSyntax('Expected a sequence set');
    if (value === 0 || at - first > 10 || value > 0xffffffff) throw new BadSyntax('Number in a set is out of range');
    return value;
  };
  for (;;) {
    const from = number();
    let to = from;
    if (bytes[at] === COLON) {
      at++;
      to = number();
    }
    ranges.push({ from, to });
    if (at - start > SET_BYTES_MAX) throw new BadSyntax('Sequence set is too long');
    if (bytes[at] !== COMMA) return { set: { ranges, saved: false }, end: at };
    at++;
  }
}

/** Ascending numbers as a set, `1:4,7`; '' for none. */
export function formatSequenceSet(numbers: ArrayLike<number>): string {
  const runs: string[] = [];
  for (let i = 0; i < numbers.length; ) {
    const first = numbers[i]!;
    let last = first;
    while (++i < numbers.length && numbers[i] === last + 1) last++;
    runs.push(first === last ? `${first}` : `${first}:${last}`);
  }
  return runs.join(',');
}
