/**
 * Content-Type and Content-Disposition: a value with parameters (RFC 2045 §5.1, RFC 2183 §2), comments and quoted
 * strings, continuations and charsets of RFC 2231, and the unquoted, unterminated and oddly separated forms that real
 * mail has. Values keep their bytes (latin-1 strings). Linear, with a limit on the number of parameters.
 */

import { latin1, trimWhite } from './bytes.ts';
import { decodeCharset } from './charset.ts';
import { decodeEncodedWords, hexPair } from './encoded-word.ts';
import { unfold } from './header.ts';
import type { Params, Part } from './part.ts';

interface StructuredField {
  /** In lower case: `type/subtype`, or a disposition type; '' where there is none. */
  readonly value: string;
  readonly params: Params;
}

const PARAMS_MAX = 200;
const SECTIONS_MAX = 1000;

const isSpace = (code: number): boolean => code === 32 || code === 9 || code === 10 || code === 13;
const DQUOTE = 34;
const BACKSLASH = 92;
const SEMICOLON = 59;
const OPEN = 40;
const CLOSE = 41;
const EQUALS = 61;

class Reader {
  readonly text: string;
  at = 0;

  constructor(text: string) {
    this.text = text;
  }

  get done(): boolean {
    return this.at >= this.text.length;
  }
  get code(): number {
    return this.text.charCodeAt(this.at);
  }

  /** White space and comments, which nest (RFC 822 §3.3). */
  skipCfws(): void {
    let depth = 0;
    for (; this.at < this.text.length; this.at++) {
      const code = this.code;
      if (code === OPEN) depth++;
      else if (depth > 0) {
        if (code === CLOSE) depth--;
        else if (code === BACKSLASH) this.at++;
      } else if (!isSpace(code)) return;
    }
  }

  token(): string {
    const start = this.at;
    for (; this.at < this.text.length; this.at++) {
      const code = this.code;
      if (isSpace(code) || code === SEMICOLON || code === OPEN || code === EQUALS || code === DQUOTE) break;
    }
    return this.text.slice(start, this.at);
  }

  quoted(): string {
    let result = '';
    this.at++;
    let from = this.at;
    for (; this.at < this.text.length; this.at++) {
      const code = this.code;
      if (code === DQUOTE) break;
      if (code === BACKSLASH) {
        result += this.text.slice(from, this.at);
        this.at++;
        from = this.at;
      }
    }
    result += this.text.slice(from, this.at);
    this.at++;
    return result;
  }

  /** A parameter's value; what follows it up to the next semicolon belongs to it when it is no comment. */
  value(): string {
    this.skipCfws();
    if (this.code === DQUOTE) return this.quoted();
    const start = this.at;
    for (; this.at < this.text.length; this.at++) {
      const code = this.code;
      if (isSpace(code) || code === SEMICOLON || code === OPEN) break;
    }
    const end = this.at;
    this.skipCfws();
    if (this.done || this.code === SEMICOLON) return this.text.slice(start, end);
    // `name=my file (1).pdf`: not quoted as it should be
    const semicolon = this.text.indexOf(';', this.at);
    this.at = semicolon < 0 ? this.text.length : semicolon;
    return trimWhite(this.text.slice(start, this.at));
  }
}

function readParams(reader: Reader, paramsMax: number): [string, string][] {
  const params: [string, string][] = [];
  while (params.length < paramsMax) {
    reader.skipCfws();
    if (reader.done) break;
    if (reader.code === SEMICOLON) {
      reader.at++;
      continue;
    }
    const before = reader.at;
    const name = reader.token().toLowerCase();
    reader.skipCfws();
    if (reader.code === EQUALS) {
      reader.at++;
      const value = reader.value();
      if (name !== '') params.push([name, value]);
    } else if (reader.at === before) reader.at++;
  }
  return params;
}

interface Section {
  readonly index: number;
  readonly extended: boolean;
  readonly value: string;
}

/** `name*`, `name*N` and `name*N*` taken apart (RFC 2231 §3, §4); undefined for a plain name. */
function splitName(name: string): { base: string; index: number; extended: boolean } | undefined {
  const star = name.indexOf('*');
  if (star <= 0) return undefined;
  const extended = name.endsWith('*');
  const digits = name.slice(star + 1, extended && name.length - 1 > star ? -1 : undefined);
  if (digits === '') return undefined;
  const index = Number(digits);
  return Number.isInteger(index) && index >= 0 && index < SECTIONS_MAX && digits.length <= 4
    ? { base: name.slice(0, star), index, extended }
    : undefined;
}

const percentEncoded = (text: string): string => {
  let result = '';
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    const plain =
      (code > 47 && code < 58) ||
      (code > 64 && code < 91) ||
      (code > 96 && code < 123) ||
      code === 45 ||
      code === 46 ||
      code === 95;
    result += plain ? text[at] : `%${code.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return result;
};

/** The sections as one parameter; those behind a gap are lost. */
function joinSections(base: string, sections: Section[]): [string, string] | undefined {
  sections.sort((a, b) => a.index - b.index);
  const parts: Section[] = [];
  for (const section of sections) if (section.index === parts.length) parts.push(section);
  if (parts.length === 0) return undefined;
  if (!parts.some((part) => part.extended)) return [base, parts.map((part) => part.value).join('')];
  const text = parts.map((part) => (part.extended ? part.value : percentEncoded(part.value))).join('');
  return [`${base}*`, parts[0]!.extended ? text : `''${text}`];
}

/** RFC 9051 §7.5.2 wants BODYSTRUCTURE to show continuations as one parameter; the rest of the code then has it easy. */
function joinContinuations(params: [string, string][]): Params {
  if (!params.some(([name]) => name.includes('*'))) return params;
  const groups = new Map<string, Section[]>();
  const result: { base?: string; param: [string, string] }[] = [];
  for (const param of params) {
    const split = splitName(param[0]);
    if (split === undefined) {
      result.push({ param });
      continue;
    }
    const section: Section = { index: split.index, extended: split.extended, value: param[1] };
    const group = groups.get(split.base);
    if (group !== undefined) group.push(section);
    else {
      groups.set(split.base, [section]);
      result.push({ base: split.base, param });
    }
  }
  return result.flatMap(({ base, param }) => {
    if (base === undefined) return [param];
    const joined = joinSections(base, groups.get(base)!);
    return joined === undefined ? [param] : [joined];
  });
}

/** The value up to the first semicolon, in lower case, and the parameters. */
export function parseStructuredField(value: Uint8Array, paramsMax = PARAMS_MAX): StructuredField {
  const reader = new Reader(latin1(unfold(value)));
  reader.skipCfws();
  let name = reader.token().toLowerCase();
  reader.skipCfws();
  // RFC 2045 §5.1 lets white space and comments stand around the slash
  if (name !== '' && !reader.done && (reader.code === 47 || name.endsWith('/'))) {
    name += reader.token().toLowerCase();
    reader.skipCfws();
    if (name.endsWith('/') && !reader.done && reader.code !== SEMICOLON) name += reader.token().toLowerCase();
  }
  return { value: name, params: joinContinuations(readParams(reader, paramsMax)) };
}

function decodeExtended(value: string): string {
  const first = value.indexOf("'");
  const second = first < 0 ? -1 : value.indexOf("'", first + 1);
  const charset = second < 0 ? '' : value.slice(0, first);
  const encoded = second < 0 ? value : value.slice(second + 1);
  const bytes = Buffer.allocUnsafe(encoded.length);
  let length = 0;
  for (let at = 0; at < encoded.length; at++) {
    const byte = encoded.charCodeAt(at) === 37 ? hexPair(encoded, at + 1) : -1;
    if (byte >= 0) at += 2;
    bytes[length++] = byte >= 0 ? byte : encoded.charCodeAt(at);
  }
  return decodeCharset(bytes.subarray(0, length), charset);
}

/** A parameter's value as text: RFC 2231 charset, stray encoded words and raw 8-bit decoded; null where there is none. */
export function parameter(params: Params, name: string): string | null {
  const extended = params.find(([key]) => key.length === name.length + 1 && key === `${name}*`);
  if (extended !== undefined) return decodeExtended(extended[1]);
  const plain = params.find(([key]) => key === name);
  return plain === undefined ? null : decodeEncodedWords(Buffer.from(plain[1], 'latin1'));
}

/** An attachment's name: `filename` of the disposition (RFC 2183 §2.3), else `name` of the type; null for none. */
export function partFilename(part: Part): string | null {
  const fromDisposition = part.disposition === null ? null : parameter(part.disposition.params, 'filename');
  return fromDisposition ?? parameter(part.params, 'name');
}
