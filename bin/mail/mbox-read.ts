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
/** Beyond this a separator line is cut; what is behind is passed over. */
const SEPARATOR_BYTES_MAX = 1000;

export class NotMbox extends Error {}

const isBlank = (line: Uint8Array): boolean =>
  line[0] === LF || (line[0] === CR && line[1] === LF && line.length === 2);

/**
 * `head`: a line's beginning, whole but for very long lines; `quotes`: before it, `>` of a line that has very many of them;
 * `rest`: more of a long line.
 */
interface Line {
  readonly kind: 'quotes' | 'head' | 'rest';
  readonly bytes: Uint8Array;
}

async function* linesOf(source: AsyncIterable<Uint8Array>): AsyncGenerator<Line> {
  let held: Buffer = Buffer.alloc(0);
  let inLine = false;
  for await (const piece of source) {
    let bytes: Buffer = held.length === 0 ? asBuffer(piece) : Buffer.concat([held, piece]);
    held = Buffer.alloc(0);
    while (bytes.length > 0) {
      const end = bytes.indexOf(LF);
      if (end < 0 && !inLine) {
        let quotes = 0;
        while (bytes[quotes] === GREATER) quotes += 1;
        // All but the last, which may have to be taken off.
        if (quotes > 1) yield { kind: 'quotes', bytes: bytes.subarray(0, quotes - 1) };
        if (quotes > 1) bytes = bytes.subarray(quotes - 1);
        if (bytes.length < SEPARATOR_BYTES_MAX) {
          held = Buffer.from(bytes);
          break;
        }
      }
      const line = end < 0 ? bytes : bytes.subarray(0, end + 1);
      yield { kind: inLine ? 'rest' : 'head', bytes: line };
      inLine = end < 0;
      bytes = bytes.subarray(line.length);
    }
  }
  if (held.length > 0) yield { kind: 'head', bytes: held };
}

const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);

async function* events(source: AsyncIterable<Uint8Array>, offset: number, quoting: Quoting): AsyncGenerator<Event> {
  let at = offset;
  let blank: Uint8Array | undefined;
  let afterBlank = true;
  let inSeparator = false;
  let begun = false;
  let quotesBefore = false;
  const run = new Run();
  for await (const { kind, bytes } of linesOf(source)) {
    const start = at;
    at += bytes.length;
    if (kind === 'rest') {
      if (!inSeparator) yield* run.add(bytes);
      continue;
    }
    const quotes = bytes[0] === 0x46 || bytes[0] === GREATER ? fromQuotes(bytes) : -1;
    inSeparator = kind === 'head' && !quotesBefore && quotes === 0 && isSeparator(lineText(bytes), afterBlank);
    if (inSeparator) {
      // The blank line before a separator belongs to the file, not to the message.
      blank = undefined;
      yield* run.flush();
      yield { t: 'begin', start, date: separatorDate(lineText(bytes)) };
      [begun, afterBlank] = [true, false];
      continue;
    }
    if (!begun && isBlank(bytes)) continue;
    if (!begun) throw new NotMbox('no mbox file: it does not begin with "From "');
    if (blank !== undefined) yield* run.add(blank);
    afterBlank = kind === 'head' && !quotesBefore && isBlank(bytes);
    blank = afterBlank ? bytes : undefined;
    if (!afterBlank) {
      const unquote = kind === 'head' && (quoting === 'mboxrd' ? quotes > 0 : quotes === 1 && !quotesBefore);
      yield* run.add(unquote ? bytes.subarray(1) : bytes);
    }
    quotesBefore = kind === 'quotes';
  }
  yield* run.flush();
}

const lineText = (bytes: Uint8Array): string => asBuffer(bytes).toString('latin1', 0, SEPARATOR_BYTES_MAX);

/** Gathers lines that lie beside one another in one piece, so that not every line becomes a piece. */
class Run {
  #bytes: Uint8Array | undefined;

  *add(bytes: Uint8Array): Generator<Event> {
    const before = this.#bytes;
    const beside =
      before !== undefined && before.buffer === bytes.buffer && before.byteOffset + before.length === bytes.byteOffset;
    if (beside) {
      this.#bytes = new Uint8Array(bytes.buffer, before.byteOffset, before.length + bytes.length);
      return;
    }
    yield* this.flush();
    this.#bytes = bytes;
  }

  *flush(): Generator<Event> {
    if (this.#bytes !== undefined && this.#bytes.length > 0) yield { t: 'bytes', bytes: this.#bytes };
    this.#bytes = undefined;
  }
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
