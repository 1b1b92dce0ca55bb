/**
 * What is done to a message's bytes on their way in: line ends of files become those of mail, and the header is looked at
 * while it passes, for dates and flags that files keep in it.
 */

import { fieldValue, findField, type Header, parseHeader, unfold } from '../../core/mime/header.ts';

const LF = 10;
const CR = 13;
/** As much of the header as is looked at. */
const PEEK_BYTES_MAX = 64 * 1024;

/**
 * Bare LF becomes CRLF when the first line ends with a bare LF (a message kept in a file of the system). One that begins
 * with CRLF is passed on byte for byte, whatever is in it.
 */
export async function* withCrlf(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let convert: boolean | undefined;
  let last = 0;
  for await (const piece of source) {
    if (piece.length === 0) continue;
    const bytes = Buffer.from(piece.buffer, piece.byteOffset, piece.length);
    if (convert === undefined) {
      const first = bytes.indexOf(LF);
      if (first >= 0) convert = (first > 0 ? bytes[first - 1] : last) !== CR;
    }
    yield convert === true ? convertPiece(bytes, last) : bytes;
    last = bytes.at(-1)!;
  }
}

function convertPiece(bytes: Buffer, before: number): Buffer {
  let bare = 0;
  for (let at = bytes.indexOf(LF); at >= 0; at = bytes.indexOf(LF, at + 1))
    if ((at > 0 ? bytes[at - 1] : before) !== CR) bare += 1;
  if (bare === 0) return bytes;
  const result = Buffer.allocUnsafe(bytes.length + bare);
  let length = 0;
  let from = 0;
  for (let at = bytes.indexOf(LF); at >= 0; at = bytes.indexOf(LF, at + 1)) {
    if ((at > 0 ? bytes[at - 1] : before) === CR) continue;
    length += bytes.copy(result, length, from, at);
    result[length++] = CR;
    from = at;
  }
  bytes.copy(result, length, from);
  return result;
}

/** Keeps the beginning of what passes through, up to the end of the header. */
export class HeaderPeek {
  #pieces: Uint8Array[] = [];
  #length = 0;
  #parsed: { bytes: Uint8Array; header: Header } | undefined;

  async *through(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const piece of source) {
      if (this.#length < PEEK_BYTES_MAX) {
        this.#pieces.push(Buffer.from(piece.subarray(0, PEEK_BYTES_MAX - this.#length)));
        this.#length += this.#pieces.at(-1)!.length;
      }
      yield piece;
    }
  }

  /** The first field of that name (lower case), unfolded; '' where there is none. */
  field(lower: string): string {
    if (this.#parsed === undefined) {
      const bytes = Buffer.concat(this.#pieces);
      this.#parsed = { bytes, header: parseHeader(bytes, { fieldsMax: 1000 }) };
    }
    const { bytes, header } = this.#parsed;
    const field = findField(header, lower);
    return field === undefined
      ? ''
      : Buffer.from(unfold(fieldValue(bytes, field)))
          .toString('latin1')
          .trim();
  }
}
