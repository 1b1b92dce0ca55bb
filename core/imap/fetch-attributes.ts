/**
 * The arguments of FETCH (RFC 9051 §6.4.5, §9: fetch-att; RFC 7162 §7 for the modifiers) as typed items. Each keeps the
 * name under which its data is sent, so that a response is only ever put together from what was understood.
 */

import { imapString } from '../mime/imap-text.ts';
import type { SectionText } from '../mime/section.ts';
import { BadSyntax } from './bad-syntax.ts';
import { isAstringByte } from './characters.ts';
import { COLUMN_ITEMS, type ColumnItem } from './fetch-columns.ts';
import type { ArgParser, SequenceSet } from './parser.ts';

/** HEADER.FIELDS and HEADER.FIELDS.NOT. */
interface FieldSelection {
  readonly names: readonly string[];
  readonly not: boolean;
}

export interface SectionItem {
  readonly t: 'section';
  /** Part numbers. */
  readonly path: readonly number[];
  readonly what: SectionText;
  readonly fields: FieldSelection | null;
  /** First byte and how many at most; null for the whole section. */
  readonly partial: { readonly start: number; readonly length: number } | null;
  /** Does not set \Seen. */
  readonly peek: boolean;
  /** The data item's name in the response. */
  readonly label: Uint8Array;
}

export type FetchItem =
  | { readonly t: 'column'; readonly item: ColumnItem }
  | { readonly t: 'envelope' | 'bodystructure' | 'body' }
  | SectionItem;

export interface FetchArgs {
  readonly set: SequenceSet;
  readonly items: readonly FetchItem[];
  /** null where not given. */
  readonly changedSince: number | null;
  readonly vanished: boolean;
}

const ITEMS_MAX = 200;
const FIELDS_MAX = 500;
const PATH_MAX = 100;
const SPACE = 0x20;
const CLOSE_BRACKET = 0x5d;

const column = (item: ColumnItem): FetchItem => ({ t: 'column', item });
const { flags, uid, modSeq, internalDate, size } = COLUMN_ITEMS;
const FAST = [column(flags), column(internalDate), column(size)];
const MACROS: readonly (readonly [string, readonly FetchItem[]])[] = [
  ['ALL', [...FAST, { t: 'envelope' }]],
  ['FAST', FAST],
  ['FULL', [...FAST, { t: 'envelope' }, { t: 'body' }]],
];

const plain = (name: string, what: SectionText, peek: boolean): FetchItem => ({
  t: 'section',
  path: [],
  what,
  fields: null,
  partial: null,
  peek,
  label: Buffer.from(name, 'latin1'),
});

/** Data items without arguments. */
const SIMPLE: readonly (readonly [string, FetchItem])[] = [
  ['FLAGS', column(flags)],
  ['UID', column(uid)],
  ['MODSEQ', column(modSeq)],
  ['INTERNALDATE', column(internalDate)],
  ['RFC822.SIZE', column(size)],
  ['ENVELOPE', { t: 'envelope' }],
  ['BODYSTRUCTURE', { t: 'bodystructure' }],
  // RFC 3501 §6.4.5: RFC822 and RFC822.TEXT set \Seen, RFC822.HEADER does not.
  ['RFC822.HEADER', plain('RFC822.HEADER', 'HEADER', true)],
  ['RFC822.TEXT', plain('RFC822.TEXT', 'TEXT', false)],
  ['RFC822', plain('RFC822', '', false)],
];

export function parseFetch(parser: ArgParser): FetchArgs {
  parser.space();
  const set = parser.sequenceSet();
  parser.space();
  const items = parseItems(parser);
  let changedSince: number | null = null;
  let vanished = false;
  if (parser.trySpace()) {
    parser.list(() => {
      if (changedSince === null && parser.tryKeyword('CHANGEDSINCE')) {
        parser.space();
        changedSince = parser.modSeq();
      } else if (!vanished && parser.tryKeyword('VANISHED')) vanished = true;
      else throw new BadSyntax('Unknown FETCH modifier');
    });
  }
  return { set, items, changedSince, vanished };
}

function parseItems(parser: ArgParser): readonly FetchItem[] {
  for (const [name, items] of MACROS) if (parser.tryKeyword(name)) return items;
  if (parser.peek() !== 0x28) return [parseItem(parser)];
  const items: FetchItem[] = [];
  parser.list(() => {
    const item = parseItem(parser);
    if (items.length === ITEMS_MAX) throw new BadSyntax('Too many data items');
    // A column is shown once, however often it was asked for.
    if (item.t !== 'column' || !items.some((known) => known.t === 'column' && known.item === item.item))
      items.push(item);
  });
  return items;
}

function parseItem(parser: ArgParser): FetchItem {
  for (const [name, item] of SIMPLE) if (parser.tryKeyword(name)) return item;
  const peek = parser.tryKeyword('BODY.PEEK');
  if (!peek && !parser.tryKeyword('BODY')) throw new BadSyntax('Unknown data item');
  if (parser.tryChar('[')) return parseSection(parser, peek);
  if (peek) throw new BadSyntax('Expected [');
  return { t: 'body' };
}

function parseSection(parser: ArgParser, peek: boolean): SectionItem {
  let spec = '';
  if (parser.peek() !== CLOSE_BRACKET)
    spec = parser.until((byte) => byte === SPACE || byte === CLOSE_BRACKET).toUpperCase();
  const { path, name } = splitSection(spec);
  let what: SectionText;
  let fields: FieldSelection | null = null;
  let label = spec;
  switch (name) {
    case '':
    case 'HEADER':
    case 'TEXT':
      what = name;
      break;
    case 'MIME':
      if (path.length === 0) throw new BadSyntax('MIME needs a part number');
      what = name;
      break;
    case 'HEADER.FIELDS':
    case 'HEADER.FIELDS.NOT': {
      what = 'HEADER';
      parser.space();
      const names = parseFieldNames(parser);
      fields = { names, not: name === 'HEADER.FIELDS.NOT' };
      label += ` (${names.map(shownName).join(' ')})`;
      break;
    }
    default:
      throw new BadSyntax('Unknown section');
  }
  parser.char(']');
  label = `BODY[${label}]`;
  let partial: SectionItem['partial'] = null;
  if (parser.tryChar('<')) {
    const start = parser.number64();
    parser.char('.');
    const length = parser.number64();
    if (length === 0) throw new BadSyntax('Zero is not allowed here');
    parser.char('>');
    partial = { start, length };
    label += `<${start}>`;
  }
  return { t: 'section', path, what, fields, partial, peek, label: Buffer.from(label, 'latin1') };
}

/** `2.1.HEADER` taken apart; part numbers are nz-numbers. */
function splitSection(spec: string): { readonly path: readonly number[]; readonly name: string } {
  if (spec === '') return { path: [], name: '' };
  const words = spec.split('.');
  const path: number[] = [];
  let at = 0;
  for (; at < words.length && /^[1-9][0-9]{0,9}$/.test(words[at]!); at++) path.push(Number(words[at]));
  if (path.length > PATH_MAX) throw new BadSyntax('Section is too deep');
  const name = words.slice(at).join('.');
  if (name === '' && at < words.length) throw new BadSyntax('Unknown section');
  return { path, name };
}

/** header-list, each name's bytes as latin-1. */
function parseFieldNames(parser: ArgParser): readonly string[] {
  const names: string[] = [];
  parser.list(() => {
    if (names.length === FIELDS_MAX) throw new BadSyntax('Too many header fields');
    names.push(Buffer.from(parser.astring()).toString('latin1'));
  });
  return names;
}

function shownName(name: string): string {
  for (let i = 0; i < name.length; i++) if (!isAstringByte(name.charCodeAt(i))) return imapString(name);
  return name === '' ? '""' : name;
}
