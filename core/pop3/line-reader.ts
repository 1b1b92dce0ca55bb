/**
 * Lines out of a byte stream in any chunking. A line ends at LF, a CR before it belongs to the line end; one that is too
 * long is skipped up to its end without being kept, and one that does not end at all is told once. Each byte is looked
 * at once.
 */

import { isUtf8 } from 'node:buffer';

export type Line =
  /** Without its line end; `octets` counts it (RFC 2449 §4). */
  | { readonly t: 'line'; readonly text: string; readonly octets: number }
  | { readonly t: 'tooLong' }
  /** Holds a NUL, a bare CR, or bytes that are not UTF-8. */
  | { readonly t: 'malformed' }
  /** Too long, and longer than is worth reading. */
  | { readonly t: 'endless' };

const LF = 10;
const CR = 13;
/** Of a line that is skipped. */
const SKIPPED_OCTETS_MAX = 256 * 1024;

export class LineReader {
  readonly #octetsMax: number;
  #chunks: Buffer[] = [];
  /** Where the first chunk's unread bytes begin. */
  #at = 0;
  /** The unfinished line; null on idle connections and while a line is skipped. */
  #kept: Buffer | null = null;
  #octets = 0;

  /** @param octetsMax of any line with its line end; the one place that bounds the memory a line takes */
  constructor(octetsMax: number) {
    this.#octetsMax = octetsMax;
  }

  push(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#chunks.push(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
  }

  /** Throws away everything received, unfinished lines included. */
  reset(): void {
    this.#chunks = [];
    this.#at = 0;
    this.#kept = null;
    this.#octets = 0;
  }

  /** The next line, or null when more bytes are needed. */
  next(): Line | null {
    for (;;) {
      const chunk = this.#chunks[0];
      if (chunk === undefined) return null;
      const lf = chunk.indexOf(LF, this.#at);
      const end = lf < 0 ? chunk.length : lf + 1;
      const piece = chunk.subarray(this.#at, end);
      this.#at = end;
      if (end === chunk.length) {
        this.#chunks.shift();
        this.#at = 0;
      }
      if (lf >= 0) return this.#take(piece);
      if (this.#keep(piece)) return { t: 'endless' };
    }
  }

  /** True when the line is longer than is worth reading. */
  #keep(piece: Buffer): boolean {
    const before = this.#octets;
    this.#octets += piece.length;
    if (this.#octets > this.#octetsMax) {
      this.#kept = null;
      return this.#octets > SKIPPED_OCTETS_MAX;
    }
    if (this.#kept === null || this.#kept.length < this.#octets) {
      const larger = Buffer.allocUnsafeSlow(Math.min(this.#octetsMax, Math.max(128, this.#octets * 2)));
      this.#kept?.copy(larger, 0, 0, before);
      this.#kept = larger;
    }
    piece.copy(this.#kept, before);
    return false;
  }

  #take(piece: Buffer): Line {
    const before = this.#octets;
    const kept = this.#kept;
    const octets = before + piece.length;
    this.#kept = null;
    this.#octets = 0;
    if (octets > this.#octetsMax) return { t: 'tooLong' };
    const bytes = kept === null ? piece : Buffer.concat([kept.subarray(0, before), piece]);
    const length = octets - (bytes[octets - 2] === CR ? 2 : 1);
    const line = bytes.subarray(0, length);
    if (line.includes(0) || line.includes(CR) || !isUtf8(line)) return { t: 'malformed' };
    return { t: 'line', text: line.toString('utf8'), octets };
  }
}
