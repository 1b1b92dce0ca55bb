/**
 * Writes messages as mboxrd: a separator line, the message with one more `>` before lines that look like one, a blank line.
 * Reading it gives the same bytes back, but that a message which does not end in a line end gets one.
 */

import { FROM, GREATER } from './mbox-line.ts';

const LF = 10;
const QUOTE = Buffer.from([GREATER]);
const DAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** RFC 4155 appendix A: the date is that of asctime, in UTC. */
export function separatorLine(ms: number): string {
  const date = new Date(ms);
  const day = String(date.getUTCDate()).padStart(2, ' ');
  const time = date.toISOString().slice(11, 19);
  return `From MAILER-DAEMON ${DAYS[date.getUTCDay()]} ${MONTHS[date.getUTCMonth()]} ${day} ${time} ${date.getUTCFullYear()}\n`;
}

/** One message with its separator. @param receivedAt milliseconds since 1970 */
export async function* writeMbox(message: AsyncIterable<Uint8Array>, receivedAt: number): AsyncGenerator<Uint8Array> {
  yield Buffer.from(separatorLine(receivedAt));
  let lineStart = true;
  let held: Buffer = Buffer.alloc(0);
  const quoted = function* (bytes: Buffer, last: boolean): Generator<Uint8Array> {
    let from = 0;
    let at = 0;
    while (at < bytes.length) {
      if (lineStart) {
        while (bytes[at] === GREATER) at += 1;
        // Whether the line is to be quoted may hang on bytes that are still to come.
        const ahead = bytes.subarray(at, at + FROM.length);
        if (!last && ahead.length < FROM.length && FROM.indexOf(ahead) === 0) break;
        if (ahead.equals(FROM)) {
          if (at > from) yield bytes.subarray(from, at);
          yield QUOTE;
          from = at;
        }
      }
      const end = bytes.indexOf(LF, at);
      lineStart = end >= 0;
      at = end < 0 ? bytes.length : end + 1;
    }
    if (at > from) yield bytes.subarray(from, at);
    held = Buffer.from(bytes.subarray(at));
  };
  for await (const piece of message) {
    const bytes = Buffer.from(piece.buffer, piece.byteOffset, piece.length);
    yield* quoted(held.length === 0 ? bytes : Buffer.concat([held, bytes]), false);
  }
  yield* quoted(held, true);
  yield Buffer.from(lineStart ? '\n' : '\n\n');
}
