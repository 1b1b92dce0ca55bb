/**
 * From the peer's bytes, in any chunking, to whole commands: lines, and the literals announced at their ends (RFC 9051
 * §2.2.1, §4.3, RFC 7888). Each byte is looked at once, a line that spans chunks is the only thing copied, and nothing
 * beyond the limits is held. The reader asks before it takes a literal, and after a refusal it stays in step.
 */

import type { Piece } from './parser.ts';

export interface ReaderLimits {
  /** Bytes of one command without its literals. */
  readonly textBytesMax: number;
  /** Bytes of one literal that is kept in memory. */
  readonly literalBytesMax: number;
  /** Of all of one command's literals together. */
  readonly literalBytesTotalMax: number;
  readonly literalsMax: number;
  /** Bytes thrown away to stay in step after a refusal. */
  readonly skipBytesMax: number;
}

/** `{size}`, `{size+}`, `~{size}` at the end of a line. */
export interface LiteralHeader {
  readonly size: number;
  /** The client waits for a continuation request. */
  readonly sync: boolean;
  /** literal8, RFC 3516. */
  readonly binary: boolean;
}

export type ReaderEvent =
  | { readonly t: 'command'; readonly pieces: readonly Piece[] }
  /** A literal was announced: call `accept`, `stream` or `refuse`. */
  | { readonly t: 'literal'; readonly header: LiteralHeader; readonly pieces: readonly Piece[] }
  /** The command's text is too long. Its beginning is given, the rest is skipped. */
  | { readonly t: 'overflow'; readonly head: Uint8Array }
  /** More was sent behind a refusal than is worth reading: the connection can't be kept. */
  | { readonly t: 'flood' };

const LF = 10;
const CR = 13;
/** Long enough for any literal's announcement and the CR behind it. */
const TAIL_BYTES = 32;
/** Of a line that is too long: enough to find its tag. */
const HEAD_BYTES = 128;
const EMPTY = new Uint8Array(0);

/** The literal that a line (without its line end) announces. */
export function literalAtEnd(line: Uint8Array): (LiteralHeader & { readonly length: number }) | null {
  let at = line.length - 1;
  if (line[at] !== 0x7d) return null;
  at--;
  const sync = line[at] !== 0x2b;
  if (!sync) at--;
  let size = 0;
  let scale = 1;
  const last = at;
  for (; at >= 0 && line[at]! >= 0x30 && line[at]! <= 0x39 && last - at < 20; at--) {
    size += (line[at]! - 0x30) * scale;
    scale *= 10;
  }
  if (at === last || line[at] !== 0x7b) return null;
  const binary = line[at - 1] === 0x7e;
  return { size, sync, binary, length: line.length - at + (binary ? 1 : 0) };
}

export class ImapReader {
  limits: ReaderLimits;
  #queue: Uint8Array[] = [];
  #chunk: Uint8Array = EMPTY;
  #at = 0;
  #mode: 'text' | 'announced' | 'literal' | 'stream' | 'skip-line' | 'skip-literal' = 'text';
  #pieces: Piece[] = [];
  /** The unfinished line's bytes from earlier chunks. */
  #line: Uint8Array = EMPTY;
  #lineLength = 0;
  #textBytes = 0;
  #literals = 0;
  #literalBytes = 0;
  #header: LiteralHeader | null = null;
  #literal: Uint8Array = EMPTY;
  /** Bytes of the literal still to come. */
  #left = 0;
  #skipped = 0;

  constructor(limits: ReaderLimits) {
    this.limits = limits;
  }

  push(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    if (this.#at >= this.#chunk.length && this.#queue.length === 0) {
      this.#chunk = bytes;
      this.#at = 0;
    } else this.#queue.push(bytes);
  }

  /** Throws away everything received, unfinished lines included. */
  reset(): void {
    this.#queue = [];
    this.#chunk = EMPTY;
    this.#at = 0;
    this.#startCommand();
  }

  /** The next event, or null when more bytes are needed. */
  next(): ReaderEvent | null {
    for (;;) {
      if (this.#mode === 'announced') return { t: 'literal', header: this.#header!, pieces: this.#pieces };
      if (!this.#hasBytes()) return null;
      if (this.#mode === 'skip-line' || this.#mode === 'skip-literal') {
        if (!this.#skip()) continue;
        return { t: 'flood' };
      }
      if (this.#mode === 'literal') {
        this.#readLiteral();
        continue;
      }
      const line = this.#readLine(this.limits.textBytesMax - this.#textBytes);
      if (line === 'overflow') return this.#overflow();
      if (line === null) continue;
      const event = this.#endOfLine(line);
      if (event !== null) return event;
    }
  }

  /** One line that is no command (a continuation): null when more bytes are needed, 'overflow' when it is too long. */
  nextLine(bytesMax: number): Uint8Array | 'overflow' | null {
    while (this.#hasBytes()) {
      const line = this.#readLine(bytesMax);
      if (line === 'overflow') {
        this.#overflow();
        return line;
      }
      if (line !== null) return line;
    }
    return null;
  }

  /** Why the announced literal can't be kept in memory, or null. */
  literalProblem(): string | null {
    const { size } = this.#header!;
    if (this.#literals >= this.limits.literalsMax) return 'Too many literals';
    if (size > this.limits.literalBytesMax || this.#literalBytes + size > this.limits.literalBytesTotalMax) {
      return 'Literal is too large';
    }
    return null;
  }

  /** Takes the announced literal into memory, as a part of the command. */
  accept(): void {
    this.#left = this.#header!.size;
    this.#literals++;
    this.#literalBytes += this.#left;
    this.#mode = 'literal';
    if (this.#left === 0) this.#endLiteral(EMPTY);
  }

  /** Hands the announced literal out by `take`. */
  stream(): void {
    this.#left = this.#header!.size;
    this.#mode = this.#left === 0 ? 'text' : 'stream';
  }

  /** The next bytes of the streamed literal, or null when more are needed or it has ended. */
  take(): Uint8Array | null {
    if (this.#mode !== 'stream' || !this.#hasBytes()) return null;
    const bytes = this.#consume(this.#left);
    this.#left -= bytes.length;
    if (this.#left === 0) this.#mode = 'text';
    return bytes;
  }

  /**
   * Throws the rest of this command away, where there is any: what is left of its literal and of its line. An announced
   * literal that the client waits with is not sent after a refusal (RFC 9051 §2.2.1), so the command ends there.
   * @returns false when that is more than is worth reading
   */
  refuse(): boolean {
    if (this.#mode === 'skip-line' || this.#mode === 'skip-literal') return true;
    if (this.#mode === 'text' && this.#pieces.length === 0) return true;
    this.#skipped = 0;
    if (this.#mode === 'announced') {
      const { size, sync } = this.#header!;
      if (sync) {
        this.#startCommand();
        return true;
      }
      this.#left = size;
    }
    const left = this.#mode === 'announced' || this.#mode === 'stream' || this.#mode === 'literal' ? this.#left : 0;
    this.#startSkipping(left);
    return left <= this.limits.skipBytesMax;
  }

  #hasBytes(): boolean {
    while (this.#at >= this.#chunk.length) {
      const next = this.#queue.shift();
      if (next === undefined) {
        this.#chunk = EMPTY;
        this.#at = 0;
        return false;
      }
      this.#chunk = next;
      this.#at = 0;
    }
    return true;
  }

  #consume(bytesMax: number): Uint8Array {
    const bytes = this.#chunk.subarray(this.#at, this.#at + bytesMax);
    this.#at += bytes.length;
    return bytes;
  }

  #startCommand(): void {
    this.#mode = 'text';
    this.#pieces = [];
    this.#line = EMPTY;
    this.#lineLength = 0;
    this.#textBytes = 0;
    this.#literals = 0;
    this.#literalBytes = 0;
    this.#header = null;
    this.#literal = EMPTY;
    this.#left = 0;
  }

  /** A whole line without its line end, or null when the chunk ended before it did. */
  #readLine(bytesMax: number): Uint8Array | 'overflow' | null {
    const end = this.#chunk.indexOf(LF, this.#at);
    const fresh = this.#chunk.subarray(this.#at, end < 0 ? this.#chunk.length : end);
    // One byte more is the CR of a line that just fits.
    if (this.#lineLength + fresh.length > bytesMax + 1) {
      this.#keep(fresh.subarray(0, Math.max(0, HEAD_BYTES - this.#lineLength)));
      return 'overflow';
    }
    if (end < 0) {
      this.#keep(fresh);
      this.#at = this.#chunk.length;
      return null;
    }
    this.#at = end + 1;
    let line = fresh;
    if (this.#lineLength > 0) {
      this.#keep(fresh);
      line = this.#line.subarray(0, this.#lineLength);
      this.#line = EMPTY;
      this.#lineLength = 0;
    }
    return line[line.length - 1] === CR ? line.subarray(0, line.length - 1) : line;
  }

  #keep(bytes: Uint8Array): void {
    const length = this.#lineLength + bytes.length;
    if (length > this.#line.length) {
      const grown = new Uint8Array(Math.max(length, this.#line.length * 2, 128));
      grown.set(this.#line.subarray(0, this.#lineLength));
      this.#line = grown;
    }
    this.#line.set(bytes, this.#lineLength);
    this.#lineLength = length;
  }

  #endOfLine(line: Uint8Array): ReaderEvent | null {
    this.#textBytes += line.length;
    const literal = literalAtEnd(line);
    if (literal === null) {
      this.#pieces.push({ t: 'text', bytes: line });
      const pieces = this.#pieces;
      this.#startCommand();
      return { t: 'command', pieces };
    }
    this.#pieces.push({ t: 'text', bytes: line.subarray(0, line.length - literal.length) });
    this.#header = literal;
    this.#mode = 'announced';
    return null;
  }

  #readLiteral(): void {
    const bytes = this.#consume(this.#left);
    const { size } = this.#header!;
    if (bytes.length === size) {
      this.#endLiteral(bytes);
      return;
    }
    if (this.#literal.length === 0) this.#literal = new Uint8Array(size);
    this.#literal.set(bytes, size - this.#left);
    this.#left -= bytes.length;
    if (this.#left === 0) this.#endLiteral(this.#literal);
  }

  #endLiteral(bytes: Uint8Array): void {
    this.#pieces.push({ t: 'literal', bytes, binary: this.#header!.binary });
    this.#literal = EMPTY;
    this.#mode = 'text';
  }

  #overflow(): ReaderEvent {
    const first = this.#pieces[0];
    const head = first?.t === 'text' ? first.bytes : this.#line.slice(0, Math.min(this.#lineLength, HEAD_BYTES));
    this.#skipped = 0;
    this.#startSkipping(0);
    return { t: 'overflow', head };
  }

  #startSkipping(literalBytes: number): void {
    this.#startCommand();
    this.#left = literalBytes;
    this.#mode = literalBytes > 0 ? 'skip-literal' : 'skip-line';
  }

  /** Skips within the chunk; true when it was too much in all. */
  #skip(): boolean {
    if (this.#mode === 'skip-literal') {
      const bytes = this.#consume(this.#left);
      this.#left -= bytes.length;
      if (this.#left === 0) this.#mode = 'skip-line';
      return this.#countSkipped(bytes.length);
    }
    const end = this.#chunk.indexOf(LF, this.#at);
    const fresh = this.#consume((end < 0 ? this.#chunk.length : end) - this.#at);
    // Only the line's last bytes matter: they may announce a literal.
    const kept = Buffer.concat([this.#line.subarray(0, this.#lineLength), fresh.subarray(-TAIL_BYTES)]);
    this.#line = kept.subarray(-TAIL_BYTES);
    this.#lineLength = this.#line.length;
    if (end >= 0) {
      this.#at = end + 1;
      const line = this.#line[this.#lineLength - 1] === CR ? this.#line.subarray(0, -1) : this.#line;
      const literal = literalAtEnd(line);
      // Nothing is sent behind the announcement of a literal that waits: the refusal was its answer.
      if (literal === null || literal.sync) this.#startCommand();
      else this.#startSkipping(literal.size);
    }
    return this.#countSkipped(fresh.length);
  }

  #countSkipped(bytes: number): boolean {
    this.#skipped += bytes;
    return this.#skipped > this.limits.skipBytesMax;
  }
}
