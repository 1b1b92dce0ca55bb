/**
 * Tells whether base64 text is exactly what encoding its decoded bytes gives (RFC 2045 §6.8), in lines of one length:
 * only then may the decoded bytes stand for it (core/mail/layout.ts). Works on pieces of whole lines.
 */

import { asBuffer, latin1 } from './bytes.ts';

export interface Base64Shape {
  /** Characters in each line but the last; a multiple of 4. */
  readonly lineLength: number;
  readonly eol: '\r\n' | '\n';
}

/** Longer lines would have to be read whole to get at one byte of them. */
export const LINE_LENGTH_MAX = 996;

const LF = 10;
const CR = 13;

/** The shape by the first line; `start` holds it with its line end. null: not in lines, or in others than we encode. */
export function base64Shape(start: Uint8Array): Base64Shape | null {
  const lineEnd = start.indexOf(LF);
  if (lineEnd <= 0) return null;
  const isCrlf = start[lineEnd - 1] === CR;
  const lineLength = isCrlf ? lineEnd - 1 : lineEnd;
  if (lineLength === 0 || lineLength > LINE_LENGTH_MAX || lineLength % 4 !== 0) return null;
  return { lineLength, eol: isCrlf ? '\r\n' : '\n' };
}

/**
 * Decodes lines of the shape, each with its line end but for the text's last.
 * @param last the piece ends the text
 * @returns null when encoding the bytes again would not give the same text
 */
export function decodeExactly(piece: Uint8Array, shape: Base64Shape, last: boolean): Uint8Array | null {
  const { lineLength, eol } = shape;
  const source = asBuffer(piece);
  const stride = lineLength + eol.length;
  const characters = Buffer.allocUnsafe(source.length);
  let length = 0;
  for (let at = 0; at < source.length; at += stride) {
    length += source.copy(characters, length, at, Math.min(source.length, at + lineLength));
    const lineEnd = at + lineLength;
    if (lineEnd >= source.length) {
      if (!last) return null;
    } else if (eol === '\n' ? source[lineEnd] !== LF : source[lineEnd] !== CR || source[lineEnd + 1] !== LF)
      return null;
  }
  const text = latin1(characters, 0, length);
  const bytes = Buffer.from(text, 'base64');
  if (!last && bytes.length * 4 !== length * 3) return null;
  if (last && source.length % stride > lineLength) return null;
  return bytes.toString('base64') === text ? bytes : null;
}
