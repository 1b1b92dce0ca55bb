/**
 * The grammar of SEARCH (RFC 9051 §6.4.4 and §9, RFC 3501 §6.4.4 for the \Recent keys, RFC 7162 §3.1.5) as a tree.
 * Parentheses are kept as nodes, depth and number of keys are bounded. Texts are decoded and folded here.
 */

import { isUtf8 } from 'node:buffer';
import { ClientError } from '../mail/errors.ts';
import { foldText } from '../mime/search-text.ts';
import { BadSyntax } from './bad-syntax.ts';
import { isDigit } from './characters.ts';
import { type ArgParser, type SequenceSet, utf8Text } from './parser.ts';

export type DateTest = 'before' | 'on' | 'since';

export type SearchKey =
  | { readonly t: 'all' }
  | { readonly t: 'and'; readonly keys: readonly SearchKey[] }
  | { readonly t: 'or'; readonly keys: readonly SearchKey[] }
  | { readonly t: 'not'; readonly key: SearchKey }
  | { readonly t: 'seq' | 'uid'; readonly set: SequenceSet }
  /** In lower case. */
  | { readonly t: 'flag'; readonly name: string }
  | { readonly t: 'recent' }
  /** `day`: its start in UTC, seconds since 1970. */
  | { readonly t: 'received' | 'sent'; readonly test: DateTest; readonly day: number }
  | { readonly t: 'larger' | 'smaller'; readonly size: number }
  | { readonly t: 'modSeq'; readonly least: number }
  /** Name in lower case; an empty needle asks whether there is such a field. */
  | { readonly t: 'header'; readonly name: string; readonly needle: string }
  | { readonly t: 'body' | 'text'; readonly needle: string };

export type ReturnOption = 'MIN' | 'MAX' | 'ALL' | 'COUNT';

export interface SearchArgs {
  /** null: the untagged response is SEARCH and not ESEARCH (RFC 4731 §3.1). */
  readonly options: ReadonlySet<ReturnOption> | null;
  readonly key: SearchKey;
}

const KEYS_MAX = 1_000;
const RETURN_OPTIONS: readonly ReturnOption[] = ['MIN', 'MAX', 'ALL', 'COUNT'];
const CHARSETS = new Set(['UTF-8', 'US-ASCII']);
const QUOTE = 0x22;
const OPEN = 0x28;

const flag = (name: string): SearchKey => ({ t: 'flag', name });
const not = (key: SearchKey): SearchKey => ({ t: 'not', key });
const RECENT: SearchKey = { t: 'recent' };

/** Keys without arguments. */
const PLAIN: Readonly<Record<string, SearchKey>> = {
  ALL: { t: 'all' },
  ANSWERED: flag('\\answered'),
  DELETED: flag('\\deleted'),
  DRAFT: flag('\\draft'),
  FLAGGED: flag('\\flagged'),
  SEEN: flag('\\seen'),
  UNANSWERED: not(flag('\\answered')),
  UNDELETED: not(flag('\\deleted')),
  UNDRAFT: not(flag('\\draft')),
  UNFLAGGED: not(flag('\\flagged')),
  UNSEEN: not(flag('\\seen')),
  RECENT,
  OLD: not(RECENT),
  NEW: { t: 'and', keys: [RECENT, not(flag('\\seen'))] },
};

const DATES: Readonly<Record<string, readonly ['received' | 'sent', DateTest]>> = {
  BEFORE: ['received', 'before'],
  ON: ['received', 'on'],
  SINCE: ['received', 'since'],
  SENTBEFORE: ['sent', 'before'],
  SENTON: ['sent', 'on'],
  SENTSINCE: ['sent', 'since'],
};

const FIELDS = new Set(['BCC', 'CC', 'FROM', 'SUBJECT', 'TO']);

export function parseSearch(parser: ArgParser): SearchArgs {
  parser.space();
  let options: Set<ReturnOption> | null = null;
  if (parser.tryKeyword('RETURN')) {
    parser.space();
    options = new Set(parser.list(() => returnOption(parser), true));
    // RFC 4731 §3.1: an empty list means ALL.
    if (options.size === 0) options.add('ALL');
    parser.space();
  }
  let charset: string | null = null;
  if (parser.tryKeyword('CHARSET')) {
    parser.space();
    charset = Buffer.from(parser.astring()).toString('latin1').toUpperCase();
    // RFC 3501 §6.4.4: NO, not BAD; the response code names those that would do.
    if (!CHARSETS.has(charset)) throw new ClientError('badCharset');
    parser.space();
  }
  return { options, key: new KeyParser(parser, charset).all() };
}

function returnOption(parser: ArgParser): ReturnOption {
  const option = RETURN_OPTIONS.find((name) => parser.tryKeyword(name));
  if (option === undefined) throw new BadSyntax('Unknown RETURN option');
  return option;
}

class KeyParser {
  readonly #parser: ArgParser;
  readonly #charset: string | null;
  #keys = 0;

  constructor(parser: ArgParser, charset: string | null) {
    this.#parser = parser;
    this.#charset = charset;
  }

  /** `search-key *(SP search-key)`, all of which must hold. */
  all(): SearchKey {
    const keys = [this.#key()];
    while (this.#parser.trySpace()) keys.push(this.#key());
    return and(keys);
  }

  #key(): SearchKey {
    const parser = this.#parser;
    if (++this.#keys > KEYS_MAX) throw new BadSyntax('Too many search keys');
    const next = parser.peek();
    if (next === OPEN) return and(parser.list(() => this.#key()));
    // A number, `*` or `$` begins a sequence set.
    if (isDigit(next) || next === 0x2a || next === 0x24) return { t: 'seq', set: parser.sequenceSet() };
    const word = parser.keyword();
    const plain = Object.hasOwn(PLAIN, word) ? PLAIN[word] : undefined;
    if (plain !== undefined) return plain;
    parser.space();
    if (Object.hasOwn(DATES, word)) {
      const [t, test] = DATES[word]!;
      return { t, test, day: parser.date() };
    }
    if (FIELDS.has(word)) return { t: 'header', name: word.toLowerCase(), needle: this.#text() };
    switch (word) {
      case 'NOT':
        return not(parser.nested(() => this.#key()));
      case 'OR': {
        const first = parser.nested(() => this.#key());
        parser.space();
        return { t: 'or', keys: [first, parser.nested(() => this.#key())] };
      }
      case 'UID':
        return { t: 'uid', set: parser.sequenceSet() };
      case 'KEYWORD':
        return flag(parser.flag().toLowerCase());
      case 'UNKEYWORD':
        return not(flag(parser.flag().toLowerCase()));
      case 'LARGER':
        return { t: 'larger', size: parser.number64() };
      case 'SMALLER':
        return { t: 'smaller', size: parser.number64() };
      case 'BODY':
        return { t: 'body', needle: this.#text() };
      case 'TEXT':
        return { t: 'text', needle: this.#text() };
      case 'HEADER': {
        const name = Buffer.from(parser.astring()).toString('latin1').toLowerCase();
        parser.space();
        return { t: 'header', name, needle: this.#text() };
      }
      case 'MODSEQ':
        return this.#modSeq();
      default:
        throw new BadSyntax('Unknown search key');
    }
  }

  /** RFC 7162 §3.1.5: there is one modSeq for all of a message's flags, so the entry named makes no difference. */
  #modSeq(): SearchKey {
    const parser = this.#parser;
    if (parser.peek() === QUOTE) {
      parser.string();
      parser.space();
      if (!['priv', 'shared', 'all'].includes(parser.atom().toLowerCase())) throw new BadSyntax('Unknown entry type');
      parser.space();
    }
    return { t: 'modSeq', least: parser.modSeq() };
  }

  #text(): string {
    const bytes = this.#parser.astring();
    if (this.#charset === 'US-ASCII' && bytes.some((byte) => byte > 127)) throw new BadSyntax('Text is not US-ASCII');
    // Without CHARSET, 8-bit text that is UTF-8 can only be meant as that.
    if (!isUtf8(bytes)) throw new BadSyntax('Text is not UTF-8');
    return foldText(utf8Text(bytes));
  }
}

const and = (keys: readonly SearchKey[]): SearchKey => (keys.length === 1 ? keys[0]! : { t: 'and', keys });

/** All nodes of the tree, itself included. */
export function* everyKey(key: SearchKey): Generator<SearchKey> {
  yield key;
  if (key.t === 'and' || key.t === 'or') for (const one of key.keys) yield* everyKey(one);
  else if (key.t === 'not') yield* everyKey(key.key);
}
