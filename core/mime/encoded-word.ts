/**
 * Encoded words in header text (RFC 2047, with the language suffix of RFC 2231 §5). What is not a well-formed encoded
 * word is left as it stands. Bytes of adjacent words in one charset are joined before they are decoded, because mailers
 * split characters between words in spite of RFC 2047 §5. Linear in the input.
 */

import { hexDigit, latin1 } from './bytes.ts';
import { decodeCharset, decodeUnlabelled } from './charset.ts';
import { unfold } from './header.ts';

const CHARSET_LENGTH_MAX = 64;

interface Word {
  readonly charset: string;
  readonly bytes: Buffer;
  /** Behind the closing `?=`. */
  readonly end: number;
}

/** Q encoding, RFC 2047 §4.2; `text` has one byte per character or is ASCII. */
function decodeQ(text: string): Buffer {
  const result = Buffer.allocUnsafe(text.length);
  let length = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 61 && at + 2 < text.length) {
      const value = hexPair(text, at + 1);
      if (value >= 0) {
        result[length++] = value;
        at += 2;
        continue;
      }
    }
    result[length++] = code === 95 ? 32 : code;
  }
  return result.subarray(0, length);
}

/** The byte that two hexadecimal digits at `at` name, or −1. */
export function hexPair(text: string, at: number): number {
  const high = hexDigit(text.charCodeAt(at));
  const low = hexDigit(text.charCodeAt(at + 1));
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

const isTokenCode = (code: number): boolean => code > 32 && code < 127 && code !== 63;

const isBlank = (text: string, from: number, to: number): boolean => {
  for (let at = from; at < to; at++) {
    const code = text.charCodeAt(at);
    if (code !== 32 && code !== 9 && code !== 10 && code !== 13) return false;
  }
  return true;
};

class Scanner {
  readonly #text: string;
  /** First `?=` at or behind some place that was asked for: asked again, the text is not searched again. */
  #close = -2;

  constructor(text: string) {
    this.#text = text;
  }

  #closing(from: number): number {
    if (this.#close === -1) return -1;
    if (this.#close < from) this.#close = this.#text.indexOf('?=', from);
    return this.#close;
  }

  /** The encoded word whose `=?` stands at `start`. */
  word(start: number): Word | undefined {
    const text = this.#text;
    let at = start + 2;
    const stop = Math.min(text.length, at + CHARSET_LENGTH_MAX);
    while (at < stop && isTokenCode(text.charCodeAt(at))) at++;
    if (at === start + 2 || text.charCodeAt(at) !== 63 || text.charCodeAt(at + 2) !== 63) return undefined;
    const encoding = text.charCodeAt(at + 1) | 32;
    if (encoding !== 113 && encoding !== 98) return undefined;
    const from = at + 3;
    const close = this.#closing(from);
    if (close < 0) return undefined;
    // RFC 2231 §5: `charset*language`
    const charset = text
      .slice(start + 2, at)
      .split('*', 1)[0]!
      .toLowerCase();
    const encoded = text.slice(from, close);
    return { charset, bytes: encoding === 113 ? decodeQ(encoded) : Buffer.from(encoded, 'base64'), end: close + 2 };
  }
}

/** Charsets with escape sequences end each word in their first state, and sequences without text between are errors. */
const isStateful = (charset: string): boolean => charset.startsWith('iso-2022-') || charset.startsWith('hz-');

function decodeJoined(words: readonly Buffer[], charset: string): string {
  if (words.length === 1) return decodeCharset(words[0]!, charset);
  return isStateful(charset)
    ? words.map((bytes) => decodeCharset(bytes, charset)).join('')
    : decodeCharset(Buffer.concat(words), charset);
}

function decode(text: string, plain: (part: string) => string): string {
  let start = text.indexOf('=?');
  if (start < 0) return plain(text);
  const scanner = new Scanner(text);
  let result = '';
  /** Up to here the text is in `result` or in `pending`. */
  let done = 0;
  let charset = '';
  let pending: Buffer[] = [];
  const flush = (): void => {
    result += decodeJoined(pending, charset);
    pending = [];
  };
  while (start >= 0) {
    const word = scanner.word(start);
    if (word === undefined) {
      start = text.indexOf('=?', start + 2);
      continue;
    }
    // RFC 2047 §6.2: white space between encoded words is not shown
    const adjacent = pending.length > 0 && isBlank(text, done, start);
    if (pending.length > 0 && !(adjacent && charset === word.charset)) flush();
    if (!adjacent && start > done) result += plain(text.slice(done, start));
    charset = word.charset;
    pending.push(word.bytes);
    done = word.end;
    start = text.indexOf('=?', done);
  }
  if (pending.length > 0) flush();
  return done < text.length ? result + plain(text.slice(done)) : result;
}

const plainBytes = (part: string): string => decodeUnlabelled(Buffer.from(part, 'latin1'));

/** Text with its encoded words decoded; of bytes, what stands outside of them is UTF-8 or else windows-1252. */
export function decodeEncodedWords(input: string | Uint8Array): string {
  return typeof input === 'string' ? decode(input, (part) => part) : decode(latin1(input), plainBytes);
}

/** A field's value as people read it: unfolded, decoded, without white space around it. */
export const decodeHeaderText = (bytes: Uint8Array): string => decodeEncodedWords(unfold(bytes)).trim();
