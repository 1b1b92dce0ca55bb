/**
 * Section specifiers (RFC 9051 §6.4.5) as byte ranges of the message, and subsets of header fields. Numbers go through
 * a message/rfc822 part into the message inside it; part 1 of what is no multipart is its body.
 */

import { asBuffer, latin1 } from './bytes.ts';
import { eachField, findColon } from './header.ts';
import type { Part } from './part.ts';

export type SectionText = '' | 'HEADER' | 'TEXT' | 'MIME';

/** Where part numbers count below this part: its own parts, or those of the message in it. */
function numbered(part: Part): Part {
  return part.message === null ? part : part.message.part;
}

/** The part that the numbers lead to; the root for none; null where there is none. */
export function partAt(root: Part, path: readonly number[]): Part | null {
  let part = root;
  for (let depth = 0; depth < path.length; depth++) {
    const number = path[depth]!;
    // the root is a message itself, whatever it contains
    const scope = depth === 0 ? part : numbered(part);
    const isMessage = depth === 0 || part.message !== null;
    if (scope.type === 'multipart') {
      const child = scope.children[number - 1];
      if (child === undefined) return null;
      part = child;
    } else if (isMessage && number === 1) part = scope;
    else return null;
  }
  return part;
}

/** null: there is no such section in this message. */
export function sectionRange(
  root: Part,
  path: readonly number[],
  what: SectionText,
): { start: number; end: number } | null {
  const part = partAt(root, path);
  if (part === null) return null;
  if (path.length === 0) {
    switch (what) {
      case '':
        return { start: 0, end: part.bodyEnd };
      case 'HEADER':
        return { start: part.headerStart, end: part.headerEnd };
      case 'TEXT':
        return { start: part.bodyStart, end: part.bodyEnd };
      case 'MIME':
        return null;
    }
  }
  const inner = part.message?.part;
  switch (what) {
    case '':
      return { start: part.bodyStart, end: part.bodyEnd };
    case 'MIME':
      return { start: part.headerStart, end: part.headerEnd };
    case 'HEADER':
      return inner === undefined ? null : { start: inner.headerStart, end: inner.headerEnd };
    case 'TEXT':
      return inner === undefined ? null : { start: inner.bodyStart, end: inner.bodyEnd };
  }
}

/** HEADER.FIELDS and HEADER.FIELDS.NOT: the fields as they stand, and the blank line behind them. Names in any case. */
export function selectFields(headerBytes: Uint8Array, names: readonly string[], not: boolean): Uint8Array {
  const buffer = asBuffer(headerBytes);
  const wanted = new Set(names.map((name) => name.toLowerCase()));
  const result = Buffer.allocUnsafe(buffer.length);
  let length = 0;
  let last = 0;
  const end = eachField(buffer, (start, stop) => {
    const found = findColon(buffer, start, stop);
    const name = found === undefined ? '' : latin1(buffer, start, found.nameEnd).toLowerCase();
    if (wanted.has(name) !== not) length += buffer.copy(result, length, start, stop);
    last = stop;
  });
  // RFC 9051 §7.5.2: the blank line is always there but for a message that has none
  length += buffer.copy(result, length, last, end);
  return result.subarray(0, length);
}
