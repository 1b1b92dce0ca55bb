/**
 * Finds the parts of a message while it streams by: only byte offsets and the (bounded) headers of parts are kept, never
 * a body. Delimiters are those of RFC 2046 §5.1.1: a line that begins with an enclosing boundary, the line end before it
 * being its own. What lies beyond the limits stays inside the last part as opaque bytes, so offsets always add up.
 */

import { asBuffer } from './bytes.ts';
import type { Header } from './header.ts';
import type { Part } from './part.ts';
import { PartDraft } from './part-draft.ts';

/** Multiparts and messages inside one another; deeper ones are not taken apart. */
const DEPTH_MAX = 100;
const PARTS_MAX = 10_000;
/** Header bytes kept for interpretation: of the message itself, of one part, of all parts together, of each part at least. */
const ROOT_HEADER_BYTES_MAX = 1024 * 1024;
const PART_HEADER_BYTES_MAX = 256 * 1024;
const PART_HEADERS_BYTES_MAX = 2 * 1024 * 1024;
const PART_HEADER_BYTES_MIN = 4 * 1024;
/** Interpreted parameters of all parts together; then each part still has a few. */
const PARAMS_TOTAL_MAX = 20_000;
const PARAMS_PART_MIN = 8;
const PARAMS_PART_MAX = 200;

const LF = 10;
const CR = 13;
const DASH = 45;
/** Line ends closer than this are found faster by a loop than by a call of indexOf. */
const NEAR_BYTES = 24;

const NOTHING = Buffer.alloc(0);

/** A part that is open, with the delimiter that its body is searched for. */
interface Frame {
  readonly part: PartDraft;
  /** The boundary with its two leading hyphens; null in leaves, messages and epilogues. */
  delimiter: Buffer | null;
}

export class StructureParser {
  readonly #stack: Frame[] = [];
  readonly #root: PartDraft;
  #header: Buffer = NOTHING;
  /** Frames with a delimiter, and the longest of these. */
  #watched = 0;
  #delimiterBytesMax = 0;
  #parts = 1;

  /** Offset in the message of the next byte, and line ends before it. */
  #offset = 0;
  #lines = 0;
  /** The last two bytes before #offset. */
  #last = 0;
  #beforeLast = 0;
  /** Bytes at the start of a line that could not be judged yet. */
  #carry: Buffer | null = null;
  /** In the middle of a line whose beginning has been judged. */
  #midLine = false;
  #inHeader = true;
  /** The line being skipped is a delimiter and a body part begins behind it. */
  #partFollows = false;
  /** Header bytes of chunks before this one; the first #keptBytes of it count. */
  #kept: Buffer = NOTHING;
  #keptBytes = 0;
  #headersBytes = 0;
  #params = 0;

  constructor() {
    this.#root = new PartDraft(0, 0);
    this.#stack.push({ part: this.#root, delimiter: null });
  }

  /** The root's header, or the first megabyte of it. */
  get header(): Uint8Array {
    return this.#header;
  }

  /** The fields of `header`. */
  get fields(): Header {
    return this.#root.header;
  }

  /** Bytes pushed so far. */
  get size(): number {
    return this.#offset + (this.#carry?.length ?? 0);
  }

  /** Whether the message ends in CRLF; known once `end` was called. */
  get endsInCrlf(): boolean {
    return this.#last === LF && this.#beforeLast === CR;
  }

  /** Takes the next bytes of the message; keeps no reference to them. */
  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    const buffer = this.#carry === null ? asBuffer(chunk) : Buffer.concat([this.#carry, chunk]);
    this.#carry = null;
    this.#scan(buffer, false);
  }

  /** The message is complete. */
  end(): Part {
    const carry = this.#carry;
    this.#carry = null;
    if (carry !== null) this.#scan(carry, true);
    if (this.#inHeader) this.#interpret(this.#takeHeader(NOTHING, 0, 0));
    this.#closeAbove(-1, this.#offset, this.#lines);
    return this.#root.finish();
  }

  /** Goes through lines; leaves in #carry what cannot be judged before more bytes come (never when `final`). */
  #scan(buffer: Buffer, final: boolean): void {
    const length = buffer.length;
    const base = this.#offset;
    let at = 0;
    let keepFrom = 0;
    while (at < length) {
      if (!this.#midLine) {
        const first = buffer[at]!;
        if (first === DASH && this.#watched > 0) {
          if (!final && this.#undecided(buffer, at)) break;
          const level = this.#matchDelimiter(buffer, at);
          if (level >= 0) {
            if (this.#inHeader) this.#interpret(this.#takeHeader(buffer, keepFrom, at));
            this.#inHeader = false;
            this.#atDelimiter(level, buffer, at, base);
            this.#midLine = true;
            continue;
          }
        } else if (this.#inHeader && (first === LF || first === CR)) {
          if (first === CR && at + 1 === length && !final) break;
          if (first === LF || buffer[at + 1] === LF) {
            at += first === LF ? 1 : 2;
            this.#lines++;
            this.#endHeader(base + at, this.#takeHeader(buffer, keepFrom, at));
            keepFrom = at;
            continue;
          }
        }
        this.#midLine = true;
      }
      const lineEnd = this.#lineEnd(buffer, at);
      if (lineEnd < 0) {
        at = length;
        break;
      }
      at = lineEnd + 1;
      this.#lines++;
      this.#midLine = false;
      if (this.#partFollows) {
        this.#beginPart(base + at);
        keepFrom = at;
      }
    }
    if (this.#inHeader) this.#keep(buffer, keepFrom, at);
    if (at < length) this.#carry = Buffer.from(buffer.subarray(at));
    this.#offset = base + at;
    if (at >= 2) {
      this.#last = buffer[at - 1]!;
      this.#beforeLast = buffer[at - 2]!;
    } else if (at === 1) {
      this.#beforeLast = this.#last;
      this.#last = buffer[0]!;
    }
  }

  /** The next line end at or behind `at`. Whole lines of a body that no delimiter can begin are skipped on the way. */
  #lineEnd(buffer: Buffer, at: number): number {
    const length = buffer.length;
    const skip = !this.#inHeader && !this.#partFollows;
    const dash = this.#watched > 0 ? DASH : -1;
    let from = at;
    for (;;) {
      const near = Math.min(length, from + NEAR_BYTES);
      let lineEnd = from;
      while (lineEnd < near && buffer[lineEnd] !== LF) lineEnd++;
      if (lineEnd === near) {
        if (near === length) return -1;
        lineEnd = buffer.indexOf(LF, near);
      }
      if (lineEnd < 0 || !skip || lineEnd + 1 >= length || buffer[lineEnd + 1] === dash) return lineEnd;
      this.#lines++;
      from = lineEnd + 1;
    }
  }

  /** Whether more bytes could change what the line at `at` is. */
  #undecided(buffer: Buffer, at: number): boolean {
    const seen = buffer.length - at;
    if (seen >= this.#delimiterBytesMax + 2 || (seen > 1 && buffer[at + 1] !== DASH)) return false;
    return buffer.indexOf(LF, at) < 0;
  }

  /**
   * The frame whose delimiter the line begins with, or −1. RFC 2046 §5.1.1: that the boundary stands there in its
   * entirety is enough. Where one boundary begins another one, the longest is meant; of equal ones the innermost.
   */
  #matchDelimiter(buffer: Buffer, at: number): number {
    let found = -1;
    let longest = 0;
    if (buffer[at + 1] !== DASH) return found;
    for (let level = this.#stack.length - 1; level >= 0; level--) {
      const delimiter = this.#stack[level]!.delimiter;
      if (delimiter === null || delimiter.length <= longest || at + delimiter.length > buffer.length) continue;
      let index = 2;
      const near = Math.min(delimiter.length, NEAR_BYTES);
      while (index < near && buffer[at + index] === delimiter[index]) index++;
      if (index < near) continue;
      const end = delimiter.length;
      if (index < end && buffer.compare(delimiter, index, end, at + index, at + end) !== 0) continue;
      found = level;
      longest = delimiter.length;
    }
    return found;
  }

  /** Ends the parts inside `level` before the line end that belongs to the delimiter at `at`. */
  #atDelimiter(level: number, buffer: Buffer, at: number, base: number): void {
    const beforeLineEnd = at >= 2 ? buffer[at - 2] : at === 1 ? this.#last : this.#beforeLast;
    const eol = base + at === 0 ? 0 : beforeLineEnd === CR ? 2 : 1;
    this.#closeAbove(level, base + at - eol, this.#lines - (eol === 0 ? 0 : 1));
    const frame = this.#stack[level]!;
    const behind = at + frame.delimiter!.length;
    if (buffer[behind] === DASH && buffer[behind + 1] === DASH) {
      frame.delimiter = null;
      this.#countDelimiters();
    } else if (this.#parts >= PARTS_MAX) this.#watchNothing();
    else this.#partFollows = true;
  }

  #watchNothing(): void {
    for (const frame of this.#stack) frame.delimiter = null;
    this.#countDelimiters();
  }

  #countDelimiters(): void {
    this.#watched = 0;
    this.#delimiterBytesMax = 0;
    for (const { delimiter } of this.#stack) {
      if (delimiter === null) continue;
      this.#watched++;
      this.#delimiterBytesMax = Math.max(this.#delimiterBytesMax, delimiter.length);
    }
  }

  /** Closes the innermost parts down to (not with) the frame `level`. */
  #closeAbove(level: number, end: number, lines: number): void {
    let innermost: PartDraft | undefined;
    while (this.#stack.length - 1 > level) {
      const { part } = this.#stack.pop()!;
      part.close(end, lines, innermost);
      innermost = part;
    }
    if (level >= 0) this.#countDelimiters();
  }

  #beginPart(start: number): void {
    const parent = this.#stack.at(-1)!.part;
    this.#partFollows = false;
    const part = new PartDraft(start, this.#lines);
    part.inDigest = parent.subtype === 'digest';
    parent.children.push(part);
    this.#open(part);
  }

  #open(part: PartDraft): void {
    this.#parts++;
    this.#stack.push({ part, delimiter: null });
    this.#inHeader = true;
  }

  /** The blank line was seen; the body starts at `start`. */
  #endHeader(start: number, header: Buffer): void {
    const { part } = this.#stack.at(-1)!;
    part.startBody(start, this.#lines);
    this.#inHeader = false;
    this.#interpret(header);
    if (this.#stack.length >= DEPTH_MAX) return;
    const delimiter = part.delimiter();
    if (delimiter !== null) {
      this.#stack.at(-1)!.delimiter = delimiter;
      this.#countDelimiters();
    } else if (part.isMessage && this.#parts < PARTS_MAX) {
      const inner = new PartDraft(start, this.#lines);
      part.embedded = inner;
      this.#open(inner);
    }
  }

  #interpret(header: Buffer): void {
    const { part } = this.#stack.at(-1)!;
    const left = PARAMS_TOTAL_MAX - this.#params;
    const isEmbedded = this.#stack.at(-2)?.part.embedded === part;
    part.interpret(header, Math.max(PARAMS_PART_MIN, Math.min(PARAMS_PART_MAX, left)), isEmbedded);
    this.#params += part.params.length;
    if (part === this.#root) this.#header = Buffer.from(header);
    else this.#headersBytes += header.length;
  }

  /** Keeps what the chunk has of an unfinished header. */
  #keep(buffer: Buffer, from: number, to: number): void {
    const length = Math.min(to - from, this.#headerBytesMax() - this.#keptBytes);
    if (length <= 0) return;
    const needed = this.#keptBytes + length;
    if (needed > this.#kept.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(1024, needed, this.#kept.length * 2));
      this.#kept.copy(grown, 0, 0, this.#keptBytes);
      this.#kept = grown;
    }
    buffer.copy(this.#kept, this.#keptBytes, from, from + length);
    this.#keptBytes = needed;
  }

  /** The header up to `to`: where it stands when it began in this chunk, else put together. Valid until the next push. */
  #takeHeader(buffer: Buffer, from: number, to: number): Buffer {
    if (this.#keptBytes === 0) return buffer.subarray(from, Math.min(to, from + this.#headerBytesMax()));
    this.#keep(buffer, from, to);
    const header = this.#kept.subarray(0, this.#keptBytes);
    this.#keptBytes = 0;
    return header;
  }

  #headerBytesMax(): number {
    if (this.#stack.length === 1) return ROOT_HEADER_BYTES_MAX;
    const left = PART_HEADERS_BYTES_MAX - this.#headersBytes;
    return Math.max(PART_HEADER_BYTES_MIN, Math.min(PART_HEADER_BYTES_MAX, left));
  }
}

/** The structure of a message that is in memory. */
export function parseStructure(bytes: Uint8Array): Part {
  const parser = new StructureParser();
  parser.push(bytes);
  return parser.end();
}
