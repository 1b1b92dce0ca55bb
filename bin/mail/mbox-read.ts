/**
 * Reads an mbox file of any size as a stream: messages one after the other, each as pieces of bytes with the quoting taken
 * off. Never holds more than a line's beginning and one piece, however long lines and messages are.
 */

import { fromQuotes, GREATER, isSeparator, separatorDate } from './mbox-line.ts';

export type Quoting = 'mboxrd' | 'mboxo';

export interface MboxMessage {
  /** Where its separator line begins. */
  readonly start: number;
  /** Seconds since 1970 from the separator line, or null. */
  readonly date: number | null;
  /** The message; must be read to its end, or left by `return`, before the next one is asked for. */
  readonly bytes: AsyncIterable<Uint8Array>;
}

type Event =
  | { readonly t: 'begin'; readonly start: number; readonly date: number | null }
  | { readonly t: 'bytes'; readonly bytes: Uint8Array };

const LF = 10;
const CR = 13;
const F = 0x46;
/** Beyond this a separator line is cut; what is behind is passed over. */
const SEPARATOR_BYTES_MAX = 1000;

export class NotMbox extends Error {}

const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
const EMPTY = Buffer.alloc(0);

/**
 * Goes through the file piece by piece. Most lines are only passed over: those that begin with `F`, `>` or a line end are
 * looked at. Text is handed out in runs as long as the piece allows.
 */
class Splitter {
  readonly #quoting: Quoting;
  /** Where the next piece begins in the file. */
  #offset: number;
  /** The beginning of a line that needs more to be judged. */
  #held: Buffer = EMPTY;
  /** A blank line at the end of an earlier piece: of the message, unless a separator follows. */
  #blank: Buffer | undefined;
  #begun = false;
  /** Within a line that an earlier piece began. */
  #inLine = false;
  #inSeparator = false;
  #afterBlank = true;
  /** The line so far is `>` that have been handed out: it can't be a separator. */
  #quotesBefore = false;

  constructor(offset: number, quoting: Quoting) {
    this.#offset = offset;
    this.#quoting = quoting;
  }

  *push(piece: Uint8Array): Generator<Event> {
    const bytes = this.#held.length === 0 ? asBuffer(piece) : Buffer.concat([this.#held, piece]);
    this.#held = EMPTY;
    yield* this.#split(bytes, false);
  }

  *end(): Generator<Event> {
    const bytes = this.#held;
    this.#held = EMPTY;
    yield* this.#split(bytes, true);
  }

  *#split(bytes: Buffer, last: boolean): Generator<Event> {
    const text = (from: number, to: number): Event => ({ t: 'bytes', bytes: bytes.subarray(from, to) });
    let from = 0;
    let at = 0;
    /** Where the blank line begins that the run of text ends with, or −1. */
    let blankAt = -1;
    while (at < bytes.length) {
      const lf = bytes.indexOf(LF, at);
      const stop = lf < 0 ? bytes.length : lf + 1;
      const first = bytes[at]!;
      if (this.#inLine) {
        this.#inLine = lf < 0;
        at = stop;
        if (this.#inSeparator) from = at;
        continue;
      }
      const plain = first !== F && first !== GREATER && first !== LF && first !== CR;
      if (lf < 0 && !last && !plain) {
        let quotes = 0;
        while (bytes[at + quotes] === GREATER) quotes += 1;
        if (quotes > 1) {
          // All but the last, which may have to be taken off.
          if (this.#blank !== undefined) yield this.#takeBlank();
          this.#judgeText(false);
          blankAt = -1;
          at += quotes - 1;
          this.#quotesBefore = true;
        }
        if (bytes.length - at < SEPARATOR_BYTES_MAX) {
          this.#held = Buffer.from(bytes.subarray(at));
          break;
        }
      }
      const line = plain ? EMPTY : bytes.subarray(at, stop);
      const blank = !this.#quotesBefore && (first === LF || (first === CR && lf === at + 1));
      const quotes = plain || blank ? -1 : fromQuotes(line);
      this.#inLine = lf < 0;
      this.#inSeparator = quotes === 0 && !this.#quotesBefore && isSeparator(lineText(line), this.#afterBlank);
      if (this.#inSeparator) {
        // The blank line before a separator belongs to the file, not to the message.
        const to = blankAt >= 0 ? blankAt : at;
        if (to > from) yield text(from, to);
        this.#blank = undefined;
        [this.#begun, this.#afterBlank] = [true, false];
        yield { t: 'begin', start: this.#offset + at, date: separatorDate(lineText(line)) };
        [from, at, blankAt] = [stop, stop, -1];
        continue;
      }
      if (!this.#begun && blank) {
        [from, at] = [stop, stop];
        continue;
      }
      if (this.#blank !== undefined) yield this.#takeBlank();
      if (quotes > 0 && (this.#quoting === 'mboxrd' || (quotes === 1 && !this.#quotesBefore))) {
        if (at > from) yield text(from, at);
        from = at + 1;
      }
      this.#judgeText(blank);
      blankAt = blank ? at : -1;
      at = stop;
    }
    const to = blankAt >= 0 ? blankAt : at;
    if (to > from) yield text(from, to);
    if (blankAt >= 0) this.#blank = Buffer.from(bytes.subarray(blankAt, at));
    this.#offset += at;
  }

  #judgeText(blank: boolean): void {
    if (!this.#begun) throw new NotMbox('no mbox file: it does not begin with "From "');
    this.#afterBlank = blank;
    this.#quotesBefore = false;
  }

  #takeBlank(): Event {
    const bytes = this.#blank!;
    this.#blank = undefined;
    return { t: 'bytes', bytes };
  }
}

const lineText = (line: Buffer): string => line.toString('latin1', 0, SEPARATOR_BYTES_MAX);

async function* events(source: AsyncIterable<Uint8Array>, offset: number, quoting: Quoting): AsyncGenerator<Event> {
  const splitter = new Splitter(offset, quoting);
  for await (const piece of source) yield* splitter.push(piece);
  yield* splitter.end();
}

/**
 * @param offset where `source` begins in the file: at a separator line
 * @throws NotMbox when there is none
 */
export async function* readMbox(
  source: AsyncIterable<Uint8Array>,
  { offset = 0, quoting = 'mboxrd' }: { readonly offset?: number; readonly quoting?: Quoting } = {},
): AsyncGenerator<MboxMessage> {
  const stream = events(source, offset, quoting);
  let next = await stream.next();
  while (!next.done) {
    if (next.value.t !== 'begin') throw new NotMbox('bytes before the first separator line');
    const { start, date } = next.value;
    let open = true;
    const step = async (): Promise<Uint8Array | undefined> => {
      next = await stream.next();
      if (!next.done && next.value.t === 'bytes') return next.value.bytes;
      open = false;
      return undefined;
    };
    const bytes = async function* (): AsyncGenerator<Uint8Array> {
      while (open) {
        const piece = await step();
        if (piece !== undefined) yield piece;
      }
    };
    yield { start, date, bytes: bytes() };
    // Whatever was not read of it is passed over.
    while (open) await step();
  }
}
