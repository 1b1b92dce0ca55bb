/**
 * Content-Transfer-Encodings taken off (RFC 2045 §6). Lenient: what is not of the encoding's alphabet is skipped or kept
 * as it stands, nothing throws. Linear.
 */

import { asBuffer, hexDigit, isWhite, latin1 } from './bytes.ts';

const LF = 10;
const CR = 13;
const EQUALS = 61;

/** RFC 2045 §6.7. */
function decodeQuotedPrintable(bytes: Buffer): Buffer {
  if (!bytes.includes(EQUALS) && !hasTrailingWhite(bytes)) return bytes;
  let at = 0;
  const length = bytes.length;
  const result = Buffer.allocUnsafe(length);
  let out = 0;
  /** Output length without white space at the end of the line, which transport may have added (rule 3). */
  let solid = 0;
  while (at < length) {
    const byte = bytes[at]!;
    if (byte === EQUALS) {
      const high = hexDigit(bytes[at + 1]);
      const low = hexDigit(bytes[at + 2]);
      if (high >= 0 && low >= 0) {
        result[out++] = high * 16 + low;
        solid = out;
        at += 3;
        continue;
      }
      // soft line break, white space before its line end allowed (rule 5)
      let next = at + 1;
      while (isWhite(bytes[next])) next++;
      if (bytes[next] === CR && bytes[next + 1] === LF) next++;
      if (next >= length || bytes[next] === LF) {
        at = next + 1;
        solid = out;
        continue;
      }
    }
    if (byte === LF || (byte === CR && bytes[at + 1] === LF)) {
      out = solid;
      if (byte === CR) result[out++] = bytes[at++]!;
      result[out++] = LF;
      solid = out;
    } else {
      result[out++] = byte;
      if (!isWhite(byte)) solid = out;
    }
    at++;
  }
  return result.subarray(0, out);
}

/** Whether some line ends in a blank or tab. */
function hasTrailingWhite(bytes: Buffer): boolean {
  for (let at = bytes.indexOf(LF); at >= 0; at = bytes.indexOf(LF, at + 1)) {
    const before = bytes[at - 1] === CR ? bytes[at - 2] : bytes[at - 1];
    if (isWhite(before)) return true;
  }
  return false;
}

/** The lines between `begin` and `end` of the old Unix encoding; everything else is left out. */
function decodeUuencode(bytes: Buffer): Buffer {
  const result = Buffer.allocUnsafe(Math.ceil((bytes.length * 3) / 4) + 3);
  let out = 0;
  let begun = false;
  let at = 0;
  while (at < bytes.length) {
    const found = bytes.indexOf(LF, at);
    const end = found < 0 ? bytes.length : found;
    const stop = bytes[end - 1] === CR ? end - 1 : end;
    if (!begun) begun = latin1(bytes, at, Math.min(stop, at + 6)) === 'begin ';
    else {
      const count = (bytes[at]! - 32) & 63;
      if (stop <= at || count === 0 || latin1(bytes, at, stop).trimEnd() === 'end') break;
      const limit = out + count;
      for (let i = at + 1; i < stop && out < limit; i += 4) {
        const digit = (index: number): number => (i + index < stop ? (bytes[i + index]! - 32) & 63 : 0);
        const value = (digit(0) << 18) | (digit(1) << 12) | (digit(2) << 6) | digit(3);
        for (let shift = 16; shift >= 0 && out < limit; shift -= 8) result[out++] = (value >> shift) & 255;
      }
    }
    at = end + 1;
  }
  return result.subarray(0, out);
}

/** What Buffer would read as another alphabet (`-`, `_`) or stop at. */
const BASE64_NOISE = /[^A-Za-z0-9+/=]+/g;

/** RFC 2045 §6.8: characters outside of the alphabet are ignored; behind padding (joined encodings) it starts anew. */
function decodeBase64(bytes: Buffer): Buffer {
  const text = latin1(bytes).replace(BASE64_NOISE, '');
  const padding = text.indexOf('=');
  if (padding < 0) return Buffer.from(text, 'base64');
  if (text.length - padding <= 2 && text.charCodeAt(text.length - 1) === EQUALS) return Buffer.from(text, 'base64');
  return Buffer.concat(text.split(/=+/).map((part) => Buffer.from(part, 'base64')));
}

/** The decoded bytes; those given, where the encoding is 7bit, 8bit, binary or unknown. */
export function decodeTransfer(bytes: Uint8Array, encoding: string): Uint8Array {
  switch (encoding.toLowerCase()) {
    case 'base64':
      return decodeBase64(asBuffer(bytes));
    case 'quoted-printable':
      return decodeQuotedPrintable(asBuffer(bytes));
    case 'x-uuencode':
    case 'x-uue':
    case 'uuencode':
      return decodeUuencode(asBuffer(bytes));
    default:
      return bytes;
  }
}
