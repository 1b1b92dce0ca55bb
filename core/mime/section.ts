import { Fault } from '../mail/errors.ts';
import type { Part } from './part.ts';
export type SectionText = '' | 'HEADER' | 'TEXT' | 'MIME';
export function sectionRange(
  _root: Part,
  _path: readonly number[],
  _what: SectionText,
): { start: number; end: number } | null {
  throw new Fault('later');
}
export function partAt(_root: Part, _path: readonly number[]): Part | null {
  throw new Fault('later');
}
/** HEADER.FIELDS and HEADER.FIELDS.NOT; ends with the blank line. Names in any case. */
export function selectFields(_headerBytes: Uint8Array, _names: readonly string[], _not: boolean): Uint8Array {
  throw new Fault('later');
}
