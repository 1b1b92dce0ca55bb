import { Fault } from '../mail/errors.ts';
export interface HeaderField {
  /** As written, without the colon; '' for a line that is no field. */
  readonly name: string;
  readonly lower: string;
  /** First byte of the name. */
  readonly start: number;
  /** Behind the colon. */
  readonly valueStart: number;
  /** Behind the line end, folded lines included. */
  readonly end: number;
}
export interface Header {
  readonly fields: readonly HeaderField[];
  /** Behind the blank line, or the number of bytes where there is none. */
  readonly end: number;
  /** There are more fields than the limit. */
  readonly truncated: boolean;
}
export interface HeaderLimits {
  readonly fieldsMax: number;
}
export function parseHeader(_bytes: Uint8Array, _limits?: HeaderLimits): Header {
  throw new Fault('later');
}
/** The first field of that name (lower case). */
export function findField(_header: Header, _lower: string): HeaderField | undefined {
  throw new Fault('later');
}
/** Value as it stands, without the final line end; folding kept. */
export function fieldValue(_bytes: Uint8Array, _field: HeaderField): Uint8Array {
  throw new Fault('later');
}
/** RFC 5322 §2.2.3: line ends taken out. */
export function unfold(_bytes: Uint8Array): Uint8Array {
  throw new Fault('later');
}
