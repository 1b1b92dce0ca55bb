/**
 * Header fields as byte ranges (RFC 5322 §2.2). Accepts CRLF and bare LF. Every byte up to the blank line belongs to
 * exactly one field: a line that is no field becomes one without a name, and only a blank line ends the header. Linear,
 * with a limit on the number of fields.
 */

import { asBuffer, isWhite, latin1, trimWhite } from './bytes.ts';

export interface HeaderField {
  /** As written, without the colon and white space before it; '' for a line that is no field. */
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
  /** There are more fields than the limit; those are not listed, but counted in `end`. */
  readonly truncated: boolean;
}

interface HeaderLimits {
  readonly fieldsMax: number;
}

const DEFAULT_LIMITS: HeaderLimits = { fieldsMax: 20_000 };
/** RFC 5322 §2.1.1 allows 998 characters a line; a longer name is no name. */
const NAME_BYTES_MAX = 998;

const LF = 10;
const CR = 13;
const COLON = 58;

/** Where the name ends and the colon stands; undefined when the line does not begin with a field name. */
export function findColon(
  bytes: Uint8Array,
  start: number,
  end: number,
): { nameEnd: number; colon: number } | undefined {
  const stop = Math.min(end, start + NAME_BYTES_MAX);
  let at = start;
  for (; at < stop; at++) {
    const byte = bytes[at]!;
    // RFC 5322 §3.6.8: printable US-ASCII without the colon
    if (byte === COLON || byte <= 32 || byte > 126) break;
  }
  const nameEnd = at;
  // RFC 5322 §4.5: white space before the colon is obsolete but accepted
  while (at < stop && isWhite(bytes[at])) at++;
  return nameEnd > start && bytes[at] === COLON && at < stop ? { nameEnd, colon: at } : undefined;
}

function toField(buffer: Buffer, start: number, end: number): HeaderField {
  const found = findColon(buffer, start, end);
  if (found === undefined) return { name: '', lower: '', start, valueStart: start, end };
  const name = latin1(buffer, start, found.nameEnd);
  return { name, lower: name.toLowerCase(), start, valueStart: found.colon + 1, end };
}

/**
 * Goes through the fields without keeping them.
 * @returns the offset behind the blank line, or the number of bytes where there is none
 */
export function eachField(bytes: Uint8Array, take: (start: number, end: number) => void): number {
  const buffer = asBuffer(bytes);
  const length = buffer.length;
  let fieldStart = 0;
  let at = 0;
  while (at < length) {
    const first = buffer[at];
    if (first === LF || (first === CR && buffer[at + 1] === LF)) {
      if (at > fieldStart) take(fieldStart, at);
      return at + (first === LF ? 1 : 2);
    }
    if (at > fieldStart && !isWhite(first)) {
      take(fieldStart, at);
      fieldStart = at;
    }
    const lineEnd = buffer.indexOf(LF, at);
    at = lineEnd < 0 ? length : lineEnd + 1;
  }
  if (length > fieldStart) take(fieldStart, length);
  return length;
}

export function parseHeader(bytes: Uint8Array, limits: HeaderLimits = DEFAULT_LIMITS): Header {
  const buffer = asBuffer(bytes);
  const fields: HeaderField[] = [];
  let truncated = false;
  const end = eachField(buffer, (start, stop) => {
    if (fields.length < limits.fieldsMax) fields.push(toField(buffer, start, stop));
    else truncated = true;
  });
  return { fields, end, truncated };
}

/** The first field of that name, given in lower case. */
export const findField = (header: Header, lower: string): HeaderField | undefined =>
  header.fields.find((field) => field.lower === lower);

/** A field's value as it stands: white space and folding kept, the final line end left out. */
export function fieldValue(bytes: Uint8Array, field: HeaderField): Uint8Array {
  let end = field.end;
  if (end > field.valueStart && bytes[end - 1] === LF) {
    end--;
    if (end > field.valueStart && bytes[end - 1] === CR) end--;
  }
  return bytes.subarray(field.valueStart, end);
}

/** RFC 5322 §2.2.3: takes out each line end that is followed by white space. The same bytes when there is none. */
export function unfold(bytes: Uint8Array): Uint8Array {
  const buffer = asBuffer(bytes);
  let lineEnd = buffer.indexOf(LF);
  if (lineEnd < 0) return bytes;
  const result = Buffer.allocUnsafe(buffer.length);
  let length = 0;
  let from = 0;
  for (; lineEnd >= 0; lineEnd = buffer.indexOf(LF, lineEnd + 1)) {
    if (!isWhite(buffer[lineEnd + 1])) continue;
    const stop = lineEnd > from && buffer[lineEnd - 1] === CR ? lineEnd - 1 : lineEnd;
    length += buffer.copy(result, length, from, stop);
    from = lineEnd + 1;
  }
  length += buffer.copy(result, length, from);
  return result.subarray(0, length);
}

/** A field's value on one line without white space around it, one byte per character (latin-1). */
export const fieldText = (bytes: Uint8Array, field: HeaderField): string =>
  trimWhite(latin1(unfold(fieldValue(bytes, field))));
