/**
 * Command lines out of a byte stream in any chunking. A line ends at CRLF and nowhere else (RFC 5321 §2.3.8); one that
 * is too long is skipped up to its end without being kept. Each byte is looked at once.
 */

import { isUtf8 } from 'node:buffer';

export type Line =
  /** Without its CRLF; `octets` counts it (RFC 5321 §4.5.3.1.4). */
  | { readonly t: 'line'; readonly text: string; readonly octets: number }
  | { readonly t: 'tooLong' }
  /** Holds a bare CR or LF, a NUL, or bytes that are not UTF-8. */
  | { readonly t: 'malformed' };

const CR = 13;
const LF = 10;

const TOO_LONG: Line = { t: 'tooLong' };
const MALFORMED: Line = { t: 'malformed' };

/** Where a line's buffer begins; it doubles from there. */
const FIRST_BYTES = 256;

export class LineReader {
  readonly #octetsMax: number;
  /** The unfinished line from earlier chunks; null on idle connections. */
  #kept: Buffer | null = null;
  #octets = 0;
  #lastByte = 0;

  /** @param octetsMax of any line, CRLF included; the one place that bounds the memory a line takes */
  constructor(octetsMax: number) {
    this.#octetsMax = octetsMax;
  }

  /** Octets of the unfinished line, those that were skipped included. */
  get pending(): number {
    return this.#octets;
  }

  /** The next line of `chunk` from `at`, and where it ends; undefined when the chunk holds no more line ends. */
  next(chunk: Buffer, at: number): { readonly line: Line; readonly end: number } | undefined {
    let from = at;
    for (;;) {
      const lf = chunk.indexOf(LF, from);
      if (lf < 0) {
        this.#keep(chunk, at);
        return undefined;
      }
      if ((lf > at ? chunk[lf - 1] : this.#lastByte) === CR)
        return { line: this.#take(chunk, at, lf + 1), end: lf + 1 };
      from = lf + 1;
    }
  }

  #keep(chunk: Buffer, from: number): void {
    if (from === chunk.length) return;
    const before = this.#octets;
    this.#octets += chunk.length - from;
    this.#lastByte = chunk[chunk.length - 1]!;
    if (this.#octets > this.#octetsMax) {
      this.#kept = null;
      return;
    }
    if (this.#kept === null || this.#kept.length < this.#octets) {
      let size = this.#kept?.length ?? FIRST_BYTES;
      while (size < this.#octets) size *= 2;
      const larger = Buffer.allocUnsafeSlow(size);
      this.#kept?.copy(larger, 0, 0, before);
      this.#kept = larger;
    }
    chunk.copy(this.#kept, before, from);
  }

  #take(chunk: Buffer, from: number, to: number): Line {
    const before = this.#octets;
    const octets = before + to - from;
    const kept = this.#kept;
    this.#kept = null;
    this.#octets = 0;
    this.#lastByte = 0;
    if (octets > this.#octetsMax) return TOO_LONG;
    const piece = chunk.subarray(from, to);
    const bytes = kept === null ? piece : Buffer.concat([kept.subarray(0, before), piece]);
    const text = bytes.toString('latin1', 0, octets - 2);
    if (/[\0\r\n]/.test(text)) return MALFORMED;
    if (!/[\x80-\xff]/.test(text)) return { t: 'line', text, octets };
    return isUtf8(bytes) ? { t: 'line', text: bytes.toString('utf8', 0, octets - 2), octets } : MALFORMED;
  }
}
