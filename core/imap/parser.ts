/**
 * Typed readers over one complete command: the bytes of its lines and its literals, in order (RFC 3501 §9, RFC 9051
 * §9). Every reader either takes exactly what the grammar allows at this place or throws BadSyntax; each is linear. NIL
 * is only ever understood by `nstring`: everywhere else it is an atom like any other.
 */

import { isUtf8 } from 'node:buffer';
import { BadSyntax } from './bad-syntax.ts';
import { isAstringByte, isAtomByte, isDigit, isPatternByte } from './characters.ts';
import { readDate, readDateTime } from './date-time.ts';
import { decodeMailboxName, decodePattern } from './mailbox-name.ts';
import { parseSequenceSet, type SequenceSet } from './sequence-set.ts';

export { BadSyntax } from './bad-syntax.ts';
export type { SequenceSet } from './sequence-set.ts';

/** What a command is made of: text without line ends, and literals between. */
export type Piece =
  | { readonly t: 'text'; readonly bytes: Uint8Array }
  | { readonly t: 'literal'; readonly bytes: Uint8Array; readonly binary: boolean };

/** imap.md and SECURITY.md: parentheses open at one time. */
const NESTING_MAX = 64;
const SPACE = 0x20;
const QUOTE = 0x22;
const OPEN = 0x28;
const CLOSE = 0x29;
const BACKSLASH = 0x5c;
const LITERAL = 0x7b;
/** Largest 63-bit value that a mod-sequence may have is cut to what a number holds exactly (RFC 7162 §7). */
const MOD_SEQUENCE_DIGITS_MAX = 19;
const FLAG_BYTES_MAX = 255;
/** In one list. */
const FLAGS_MAX = 200;
const UINT32_MAX = 0xffffffff;

const text = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');

/** Strict UTF-8. */
export function utf8Text(bytes: Uint8Array): string {
  if (!isUtf8(bytes)) throw new BadSyntax('Text is not UTF-8');
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8');
}

export class ArgParser {
  readonly #pieces: readonly Piece[];
  /** Whether mailbox names come as UTF-8 (RFC 6855 §3) and not in modified UTF-7. */
  readonly #utf8: boolean;
  #index = 0;
  #bytes: Uint8Array;
  #at = 0;
  #depth = 0;

  constructor(pieces: readonly Piece[], utf8 = false) {
    this.#pieces = pieces;
    this.#utf8 = utf8;
    const first = pieces[0];
    this.#bytes = first?.t === 'text' ? first.bytes : new Uint8Array(0);
  }

  /** The next byte, `{` before a literal, −1 at the end of the command. */
  peek(): number {
    if (this.#at < this.#bytes.length) return this.#bytes[this.#at]!;
    return this.#nextLiteral() === null ? -1 : LITERAL;
  }

  atEnd(): boolean {
    return this.peek() === -1;
  }

  /** Whether exactly one space is left. */
  onlySpaceLeft(): boolean {
    return this.#at === this.#bytes.length - 1 && this.#bytes[this.#at] === SPACE && this.#nextLiteral() === null;
  }

  /** Nothing may be left. */
  end(): void {
    if (this.#depth > 0) throw new BadSyntax('Missing )');
    if (!this.atEnd()) throw new BadSyntax('Unexpected extra arguments');
  }

  /** Exactly one space. */
  space(): void {
    if (!this.tryChar(SPACE)) throw new BadSyntax(this.atEnd() ? 'Missing argument' : 'Expected a space');
  }

  trySpace(): boolean {
    return this.tryChar(SPACE);
  }

  /** Takes `char` (a code or one character) when it is next. */
  tryChar(char: number | string): boolean {
    const code = typeof char === 'string' ? char.charCodeAt(0) : char;
    if (this.#at >= this.#bytes.length || this.#bytes[this.#at] !== code) return false;
    this.#at++;
    return true;
  }

  char(char: string): void {
    if (!this.tryChar(char)) throw new BadSyntax(`Expected ${char}`);
  }

  /** Takes `word` (in capitals) when it stands next, in any case, and no atom character follows. */
  tryKeyword(word: string): boolean {
    const end = this.#at + word.length;
    if (end > this.#bytes.length) return false;
    for (let i = 0; i < word.length; i++) {
      let byte = this.#bytes[this.#at + i]!;
      if (byte >= 0x61 && byte <= 0x7a) byte -= 32;
      if (byte !== word.charCodeAt(i)) return false;
    }
    const next = this.#bytes[end];
    if (next !== undefined && isAtomByte(next) && next !== 0x5b) return false;
    this.#at = end;
    return true;
  }

  tryOpen(): boolean {
    if (!this.tryChar(OPEN)) return false;
    if (++this.#depth > NESTING_MAX) throw new BadSyntax('Nested too deeply');
    return true;
  }

  open(): void {
    if (!this.tryOpen()) throw new BadSyntax('Expected (');
  }

  tryClose(): boolean {
    if (!this.tryChar(CLOSE)) return false;
    this.#depth--;
    return true;
  }

  close(): void {
    if (!this.tryClose()) throw new BadSyntax('Expected )');
  }

  /** `( one *(SP one) )`; empty only where `emptyAllowed`. */
  list<T>(one: () => T, emptyAllowed = false): T[] {
    this.open();
    const items: T[] = [];
    if (emptyAllowed && this.tryClose()) return items;
    for (;;) {
      items.push(one());
      if (this.tryClose()) return items;
      this.space();
    }
  }

  /** Runs `read` where something may follow a nested construct without parentheses (NOT NOT NOT …): bounds the depth. */
  nested<T>(read: () => T): T {
    if (++this.#depth > NESTING_MAX) throw new BadSyntax('Nested too deeply');
    const value = read();
    this.#depth--;
    return value;
  }

  /** tag = 1*<any ASTRING-CHAR except "+"> */
  tag(): string {
    return text(this.#run((byte) => isAstringByte(byte) && byte !== 0x2b, 'Missing tag'));
  }

  /** In the client's case. */
  atom(): string {
    return text(this.#run(isAtomByte, 'Expected an atom'));
  }

  /** An atom in capitals. */
  keyword(): string {
    return this.atom().toUpperCase();
  }

  /** astring; the bytes of an atom, quoted string or literal. */
  astring(): Uint8Array {
    const next = this.peek();
    if (next === QUOTE || next === LITERAL) return this.string();
    return this.#run(isAstringByte, 'Expected a string');
  }

  /** astring as UTF-8 text. */
  astringText(): string {
    return utf8Text(this.astring());
  }

  string(): Uint8Array {
    const next = this.peek();
    if (next === QUOTE) return this.#quoted();
    if (next !== LITERAL || this.#at < this.#bytes.length) throw new BadSyntax('Expected a string');
    const literal = this.#nextLiteral()!;
    // RFC 9051 §9: literal8 stands only where the grammar names it, and nothing here does.
    if (literal.binary) throw new BadSyntax('literal8 is not allowed here');
    // CHAR8 = %x01-ff
    if (literal.bytes.includes(0)) throw new BadSyntax('NUL is not allowed in a literal');
    this.#index++;
    this.#enterText();
    return literal.bytes;
  }

  /** null for NIL. */
  nstring(): Uint8Array | null {
    return this.tryKeyword('NIL') ? null : this.string();
  }

  /** number = 1*DIGIT, below 2^32. */
  number(): number {
    const value = this.#digits(10);
    if (value > UINT32_MAX) throw new BadSyntax('Number is too large');
    return value;
  }

  /** nz-number */
  nzNumber(): number {
    const value = this.number();
    if (value === 0) throw new BadSyntax('Zero is not allowed here');
    return value;
  }

  /** number64 and mod-sequence-valzer; above 2^53 it becomes the largest that is held exactly. */
  number64(): number {
    return Math.min(this.#digits(MOD_SEQUENCE_DIGITS_MAX), Number.MAX_SAFE_INTEGER);
  }

  /** mod-sequence-valzer, RFC 7162 §7: zero is allowed. */
  modSeq(): number {
    return this.number64();
  }

  /** sequence-set of numbers or uids; `$` gives `saved`. */
  sequenceSet(): SequenceSet {
    const start = this.#at;
    const { set, end } = parseSequenceSet(this.#bytes, start);
    this.#at = end;
    return set;
  }

  /** flag, or flag-extension; `\*` is not among what a client may send. */
  flag(): string {
    const name = this.tryChar(BACKSLASH) ? `\\${this.atom()}` : this.atom();
    if (name.length > FLAG_BYTES_MAX) throw new BadSyntax('Flag is too long');
    return name;
  }

  /** `( [flag *(SP flag)] )` */
  flagList(): string[] {
    const flags = this.list(() => this.flag(), true);
    if (flags.length > FLAGS_MAX) throw new BadSyntax('Too many flags');
    return flags;
  }

  /** mailbox: UTF-8 in NFC, the inbox as `INBOX`. A name that cannot be decoded is NO [CANNOT]. */
  mailboxName(): string {
    return decodeMailboxName(this.astring(), this.#utf8);
  }

  /** list-mailbox, decoded like a name. */
  listMailbox(): string {
    const next = this.peek();
    const bytes =
      next === QUOTE || next === LITERAL ? this.string() : this.#run(isPatternByte, 'Expected a mailbox pattern');
    return decodePattern(bytes, this.#utf8);
  }

  /** date = [DQUOTE] d-Mmm-yyyy [DQUOTE]; seconds since 1970 of that day's start in UTC. */
  date(): number {
    const quoted = this.tryChar(QUOTE);
    const end = this.#find((byte) => byte === SPACE || byte === QUOTE || byte === CLOSE);
    const value = readDate(text(this.#bytes.subarray(this.#at, end)));
    if (value === null) throw new BadSyntax('Date is not valid');
    this.#at = end;
    if (quoted) this.char('"');
    return value;
  }

  /** date-time, quotes included; seconds since 1970. */
  dateTime(): number {
    this.char('"');
    const end = this.#find((byte) => byte === QUOTE);
    const value = readDateTime(text(this.#bytes.subarray(this.#at, end)));
    if (value === null) throw new BadSyntax('Date-time is not valid');
    this.#at = end;
    this.char('"');
    return value;
  }

  /** The characters up to the one that `stop` says, at least one: for the few places with a grammar of their own. */
  until(stop: (byte: number) => boolean): string {
    const end = this.#find(stop);
    if (end === this.#at) throw new BadSyntax('Missing argument');
    const taken = text(this.#bytes.subarray(this.#at, end));
    this.#at = end;
    return taken;
  }

  #find(stop: (byte: number) => boolean): number {
    let end = this.#at;
    while (end < this.#bytes.length && !stop(this.#bytes[end]!)) end++;
    return end;
  }

  #run(isMember: (byte: number) => boolean, otherwise: string): Uint8Array {
    const end = this.#find((byte) => !isMember(byte));
    if (end === this.#at) throw new BadSyntax(otherwise);
    const run = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return run;
  }

  #digits(digitsMax: number): number {
    const run = this.#run(isDigit, 'Expected a number');
    if (run.length > digitsMax) throw new BadSyntax('Number is too large');
    return Number(text(run));
  }

  /** quoted = DQUOTE *QUOTED-CHAR DQUOTE; bytes above 127 are taken as RFC 9051 does, CR, LF and NUL are not. */
  #quoted(): Uint8Array {
    const start = ++this.#at;
    let escapes = 0;
    let at = start;
    for (; ; at++) {
      const byte = this.#bytes[at];
      if (byte === undefined) throw new BadSyntax('Missing closing quote');
      if (byte === QUOTE) break;
      if (byte === 0 || byte === 13 || byte === 10) throw new BadSyntax('Control character in a quoted string');
      if (byte !== BACKSLASH) continue;
      const escaped = this.#bytes[++at];
      if (escaped !== QUOTE && escaped !== BACKSLASH) throw new BadSyntax('Only " and \\ may be escaped');
      escapes++;
    }
    this.#at = at + 1;
    const raw = this.#bytes.subarray(start, at);
    if (escapes === 0) return raw;
    const plain = new Uint8Array(raw.length - escapes);
    for (let from = 0, to = 0; from < raw.length; from++, to++) {
      if (raw[from] === BACKSLASH) from++;
      plain[to] = raw[from]!;
    }
    return plain;
  }

  #nextLiteral(): (Piece & { t: 'literal' }) | null {
    const next = this.#pieces[this.#index + 1];
    return next?.t === 'literal' ? next : null;
  }

  /** Behind a literal: its following text, if any. */
  #enterText(): void {
    const next = this.#pieces[this.#index + 1];
    this.#at = 0;
    if (next?.t === 'text') {
      this.#index++;
      this.#bytes = next.bytes;
    } else this.#bytes = this.#bytes.subarray(0, 0);
  }
}
