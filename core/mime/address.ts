/**
 * Address lists (RFC 5322 §3.4 with the obsolete forms of §4.4) as ENVELOPE shows them (RFC 9051 §7.5.2): quoting and
 * comments removed, encoded words left as they stand, one byte per character. Whatever stands in a field, the result is
 * a list that the grammar allows: groups are closed, no address is without a local part and domain ('' where missing).
 */

import { latin1, trimWhite } from './bytes.ts';
import { unfold } from './header.ts';

export type AddressItem =
  | {
      readonly t: 'mailbox';
      /** Display name; of the obsolete form `user@domain (Name)` the comment. */
      readonly name: string | null;
      /** Source route, for example `@a,@b`. */
      readonly route: string | null;
      readonly local: string;
      readonly domain: string;
    }
  | { readonly t: 'groupStart'; readonly name: string }
  | { readonly t: 'groupEnd' };

const ITEMS_MAX = 10_000;

type Token =
  /** Atoms, encoded words, dots: any run of other characters. */
  | { readonly t: 'word' | 'quoted' | 'comment' | 'literal'; readonly text: string; readonly space: boolean }
  | { readonly t: 'special'; readonly text: string; readonly space: boolean };

const SPECIALS = '<>@,;:';

class Tokenizer {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  next(): Token | undefined {
    const text = this.#text;
    const from = this.#at;
    while (this.#at < text.length && ' \t\r\n'.includes(text[this.#at]!)) this.#at++;
    if (this.#at >= text.length) return undefined;
    const space = this.#at > from;
    const first = text[this.#at]!;
    if (first === '"') return { t: 'quoted', text: this.#delimited('"'), space };
    if (first === '(') return { t: 'comment', text: this.#comment(), space };
    if (first === '[') return { t: 'literal', text: `[${this.#delimited(']')}]`, space };
    if (SPECIALS.includes(first)) {
      this.#at++;
      return { t: 'special', text: first, space };
    }
    const start = this.#at++;
    while (this.#at < text.length && !' \t\r\n"([<>@,;:'.includes(text[this.#at]!)) this.#at++;
    return { t: 'word', text: text.slice(start, this.#at), space };
  }

  /** Up to the closing character, quoted pairs resolved; an unclosed one ends with the text. */
  #delimited(close: string): string {
    let result = '';
    let from = ++this.#at;
    for (; this.#at < this.#text.length; this.#at++) {
      const character = this.#text[this.#at];
      if (character === close) break;
      if (character === '\\') {
        result += this.#text.slice(from, this.#at);
        from = ++this.#at;
      }
    }
    result += this.#text.slice(from, this.#at);
    this.#at++;
    return result;
  }

  /** RFC 5322 §3.2.2: comments nest; the inner parentheses are shown. */
  #comment(): string {
    let depth = 1;
    let result = '';
    for (this.#at++; this.#at < this.#text.length; this.#at++) {
      const character = this.#text[this.#at]!;
      if (character === '\\' && this.#at + 1 < this.#text.length) {
        result += this.#text[++this.#at]!;
        continue;
      }
      if (character === '(') depth++;
      else if (character === ')' && --depth === 0) break;
      result += character;
    }
    this.#at++;
    return trimWhite(result);
  }
}

/** Words with one space wherever there was white space between them. */
function phrase(tokens: readonly Token[]): string {
  let result = '';
  for (const token of tokens) result += result !== '' && token.space ? ` ${token.text}` : token.text;
  return result;
}

function splitAddress(tokens: readonly Token[]): { local: string; domain: string } {
  const at = tokens.findLastIndex((token) => token.t === 'special' && token.text === '@');
  const join = (part: readonly Token[]): string => part.map((token) => token.text).join('');
  return at < 0
    ? { local: phrase(tokens), domain: '' }
    : { local: join(tokens.slice(0, at)), domain: join(tokens.slice(at + 1)) };
}

class ListParser {
  readonly items: AddressItem[] = [];
  readonly #tokens: Tokenizer;
  #pending: Token[] = [];
  #comment: string | null = null;
  #inGroup = false;

  constructor(text: string) {
    this.#tokens = new Tokenizer(text);
  }

  parse(): AddressItem[] {
    for (let token = this.#tokens.next(); token !== undefined; token = this.#tokens.next()) {
      if (this.items.length >= ITEMS_MAX) break;
      if (token.t === 'comment') this.#comment ??= token.text;
      else if (token.t !== 'special') this.#pending.push(token);
      else this.#special(token);
    }
    this.#flush();
    this.#endGroup();
    return this.items;
  }

  #special(token: Token): void {
    if (token.text === '@') this.#pending.push(token);
    else if (token.text === ',') this.#flush();
    else if (token.text === '<') this.#angle();
    else if (token.text === ':') this.#beginGroup();
    else if (token.text === ';') {
      this.#flush();
      this.#endGroup();
    }
  }

  #beginGroup(): void {
    // RFC 5322 §3.4: a group has no groups inside
    if (this.#inGroup || this.#pending.length === 0) return;
    this.items.push({ t: 'groupStart', name: phrase(this.#pending) });
    this.#pending = [];
    this.#comment = null;
    this.#inGroup = true;
  }

  #endGroup(): void {
    if (this.#inGroup) this.items.push({ t: 'groupEnd' });
    this.#inGroup = false;
  }

  /** What was collected is an address without angle brackets. */
  #flush(): void {
    const tokens = this.#pending;
    const comment = this.#comment;
    this.#pending = [];
    this.#comment = null;
    if (tokens.length === 0) return;
    this.items.push({ t: 'mailbox', name: comment === '' ? null : comment, route: null, ...splitAddress(tokens) });
  }

  /** Behind `<`: an optional source route (RFC 5322 §4.4 obs-route) and an address, up to `>`. */
  #angle(): void {
    const name = phrase(this.#pending);
    this.#pending = [];
    let tokens: Token[] = [];
    let route: string | null = null;
    for (let token = this.#tokens.next(); token !== undefined; token = this.#tokens.next()) {
      if (token.t === 'comment') continue;
      if (token.t === 'special' && token.text === '>') break;
      if (token.t === 'special' && token.text === ':' && route === null && tokens[0]?.text === '@') {
        route = tokens.map((part) => part.text).join('');
        tokens = [];
      } else tokens.push(token);
    }
    const comment = this.#comment === '' ? null : this.#comment;
    this.#comment = null;
    this.items.push({ t: 'mailbox', name: name === '' ? comment : name, route, ...splitAddress(tokens) });
  }
}

/** The field's value (folding and all); at most 10,000 items, what follows is left out. */
export const parseAddressList = (value: Uint8Array): AddressItem[] => new ListParser(latin1(unfold(value))).parse();
