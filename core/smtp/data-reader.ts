/**
 * Mail data out of a byte stream in any chunking (RFC 5321 §4.5.2): takes off the stuffed dots and finds the end, which
 * is CRLF "." CRLF and nothing else. A bare CR or LF is only noted: whatever a sender means by it, it ends neither a
 * line nor the data, so two servers can't read two different messages out of one stream.
 */

const DOT_LINE = '\r\n.';
const CR = 13;
const LF = 10;

/** A CR that no LF follows, or an LF that no CR precedes. The last byte of a piece may be a CR whose LF is to come. */
const BARE = /\r[^\n]|(?<!\r)\n/;

const NOTHING = Buffer.alloc(0);
const CRLF = Buffer.from('\r\n');

interface DataPiece {
  /** Bytes of the message, dots taken off; may be empty, and may share the chunk's memory. */
  readonly bytes: Buffer;
  /** Where in the chunk the data ended, behind its last CRLF; −1 while it goes on. */
  readonly end: number;
}

export class DataReader {
  /** Bytes at the end of the last chunk that could begin CRLF "." CRLF: five at most. */
  #held: Buffer = CRLF;
  /** The line end before the first line belongs to the DATA command, not to the message. */
  #skip = CRLF.length;
  #bare = false;

  /** Whether a bare CR or LF has been seen. */
  get bareLineEnd(): boolean {
    return this.#bare;
  }

  take(chunk: Buffer, at = 0): DataPiece {
    const held = this.#held;
    const fresh = at === 0 ? chunk : chunk.subarray(at);
    const bytes = held.length === 0 ? fresh : Buffer.concat([held, fresh]);
    const text = bytes.toString('latin1');
    // [from, to, from, to, …] of what belongs to the message
    const ranges: number[] = [];
    let from = this.#skip;
    let stop = -1;
    let end = -1;
    for (let dot = text.indexOf(DOT_LINE); dot >= 0; dot = text.indexOf(DOT_LINE, dot + 3)) {
      const next = text.charCodeAt(dot + 3);
      const isEnd = next === CR && text.charCodeAt(dot + 4) === LF;
      if (isEnd || dot + 3 >= text.length || (next === CR && dot + 4 >= text.length)) {
        // The CRLF before the last dot is the last line's own.
        stop = isEnd ? dot + 2 : dot;
        if (isEnd) end = dot + 5;
        break;
      }
      if (from < dot + 2) ranges.push(from, dot + 2);
      from = dot + 3;
    }
    if (stop < 0) stop = text.length - (text.endsWith('\r\n') ? 2 : text.endsWith('\r') ? 1 : 0);
    if (from < stop) ranges.push(from, stop);
    if (!this.#bare) this.#bare = BARE.test(end < 0 ? text : text.slice(0, end));
    this.#skip = Math.max(0, from - stop);
    this.#held = end < 0 && stop < bytes.length ? Buffer.from(bytes.subarray(stop)) : NOTHING;
    return { bytes: join(bytes, ranges), end: end < 0 ? -1 : end - held.length + at };
  }
}

function join(bytes: Buffer, ranges: readonly number[]): Buffer {
  if (ranges.length === 0) return NOTHING;
  if (ranges.length === 2) return bytes.subarray(ranges[0], ranges[1]);
  let length = 0;
  for (let i = 0; i < ranges.length; i += 2) length += ranges[i + 1]! - ranges[i]!;
  const joined = Buffer.allocUnsafe(length);
  let at = 0;
  for (let i = 0; i < ranges.length; i += 2) at += bytes.copy(joined, at, ranges[i], ranges[i + 1]);
  return joined;
}
