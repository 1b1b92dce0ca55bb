/**
 * Byte-stuffing of multi-line responses (RFC 1939 §3) while a message streams by: a line that begins with the
 * termination octet gets one more. Lines begin behind every LF, also a bare one, since many clients read lines that way
 * and would take a dot there for the end. Bytes without such a line are passed on without being copied.
 */

const LF = 10;
const CR = 13;
const DOT = 0x2e;
const LINE_WITH_DOT = Buffer.from('\n.');

export class DotStuffer {
  #last = LF;
  #beforeLast = 0;

  /** Whether what was taken so far ends in CRLF. */
  get endsInCrlf(): boolean {
    return this.#last === LF && this.#beforeLast === CR;
  }

  stuff(bytes: Buffer): Buffer {
    if (bytes.length === 0) return bytes;
    let dot = this.#last === LF && bytes[0] === DOT ? 0 : nextDot(bytes, 0);
    this.#beforeLast = bytes.length > 1 ? bytes[bytes.length - 2]! : this.#last;
    this.#last = bytes[bytes.length - 1]!;
    if (dot < 0) return bytes;
    // At most every second byte is a dot at the beginning of a line.
    const stuffed = Buffer.allocUnsafe(bytes.length + (bytes.length >> 1) + 1);
    let from = 0;
    let at = 0;
    for (; dot >= 0; dot = nextDot(bytes, dot)) {
      at += bytes.copy(stuffed, at, from, dot);
      stuffed[at++] = DOT;
      from = dot;
    }
    at += bytes.copy(stuffed, at, from);
    return stuffed.subarray(0, at);
  }
}

/** The next dot at the beginning of a line behind `from`, or −1. */
function nextDot(bytes: Buffer, from: number): number {
  const found = bytes.indexOf(LINE_WITH_DOT, from);
  return found < 0 ? -1 : found + 1;
}
