/**
 * Header tokens (group 2): who the message says it is from, what it is called, what wrote it and what brought it here.
 * Fields of the receiving side, of lists and of other filters give none (trace-fields.ts).
 */

import type { FeatureSet } from './feature-set.ts';
import { hashPair, hashText } from './hash.ts';
import { KIND } from './kinds.ts';
import { addressIn, domainOf, organisationOf, type Sender } from './sender.ts';
import { isTraceField } from './trace-fields.ts';
import type { Field } from './view.ts';
import { eachWord, type WordVisitor } from './words.ts';

interface HeaderInput {
  readonly fields: readonly Field[];
  readonly sender: Sender;
  /** Normalised. */
  readonly subject: string;
  readonly fromName: string;
}

const VALUE_WORDS_MAX = 24;

/** Fields whose value is not taken apart here: they have tokens of their own. */
const OWN_TOKENS = new Set([
  'from',
  'subject',
  'message-id',
  'reply-to',
  'in-reply-to',
  'references',
  'content-type',
  'thread-index',
]);
const MAILERS = new Set(['x-mailer', 'user-agent', 'x-mimeole']);

/** Words of one text as tokens of a kind, and pairs of neighbours as tokens of another. */
class WordTokens implements WordVisitor {
  readonly #set: FeatureSet;
  #kind = 0;
  #pairKind = 0;
  #before = 0;
  #beforeStart = 0;

  constructor(set: FeatureSet) {
    this.#set = set;
  }

  add(text: string, kind: number, pairKind: number, wordsMax: number): void {
    this.#kind = kind;
    this.#pairKind = pairKind;
    this.#before = 0;
    eachWord(text, 0, text.length, wordsMax, this);
  }

  word(text: string, start: number, end: number, digits: number): void {
    // Serial numbers and dates give no feature that comes again: their length does.
    const hash =
      digits > 2 && digits * 2 > end - start
        ? hashText(this.#kind, '#', 0, 1) + (end - start)
        : hashText(this.#kind, text, start, Math.min(end, start + 40));
    this.#set.addToken(this.#kind, hash, text, start, end);
    if (this.#pairKind !== 0 && this.#before !== 0)
      this.#set.addToken(this.#pairKind, hashPair(this.#before, hash), text, this.#beforeStart, end);
    this.#before = hash;
    this.#beforeStart = start;
  }
}

export class HeaderTokens {
  readonly #set: FeatureSet;
  readonly #words: WordTokens;

  constructor(set: FeatureSet) {
    this.#set = set;
    this.#words = new WordTokens(set);
  }

  add(input: HeaderInput): void {
    this.#fields(input.fields);
    const { sender } = input;
    if (sender.address !== '') {
      this.#token(KIND.fromAddress, sender.address);
      this.#token(KIND.fromDomain, sender.domain);
      this.#token(KIND.fromOrganisation, `${sender.organisation}${sender.authenticated ? ' (authenticated)' : ''}`);
    }
    this.#words.add(input.fromName, KIND.fromName, 0, 12);
    this.#words.add(input.subject, KIND.subjectWord, KIND.subjectPair, 40);
  }

  #fields(fields: readonly Field[]): void {
    let before = 0;
    let beforeName = '';
    for (const { name, value } of fields) {
      if (name === 'date') this.#token(KIND.zone, zoneOf(value));
      if (isTraceField(name)) continue;
      const hash = hashText(KIND.fieldName, name);
      this.#set.addToken(KIND.fieldName, hash, name, 0, name.length);
      if (before !== 0) {
        const text = `${beforeName}, ${name}`;
        this.#set.addToken(KIND.fieldOrder, hashPair(before, hash), text, 0, text.length);
      }
      before = hash;
      beforeName = name;
      if (MAILERS.has(name)) this.#mailer(value.toLowerCase().slice(0, 200));
      else if (name === 'message-id') this.#token(KIND.messageId, messageIdShape(value));
      else if (name === 'reply-to') this.#address(KIND.replyTo, value);
      else if (name === 'content-type') this.#contentType(value);
      else if (!OWN_TOKENS.has(name)) this.#value(name, value);
    }
  }

  #token(kind: number, text: string): void {
    if (text !== '') this.#set.addToken(kind, hashText(kind, text), text, 0, text.length);
  }

  #address(kind: number, value: string): void {
    const address = addressIn(value);
    if (address === '') return;
    this.#token(kind, address);
    this.#token(kind, organisationOf(domainOf(address)));
  }

  #mailer(value: string): void {
    this.#token(KIND.mailer, shape(value));
    this.#words.add(value, KIND.mailer, 0, VALUE_WORDS_MAX);
  }

  #contentType(value: string): void {
    const lower = value.toLowerCase().slice(0, 400);
    const boundary = lower.indexOf('boundary=');
    if (boundary !== -1) this.#token(KIND.contentType, `boundary ${shape(value.slice(boundary + 9, boundary + 79))}`);
    this.#words.add(boundary === -1 ? lower : lower.slice(0, boundary), KIND.contentType, 0, VALUE_WORDS_MAX);
  }

  /** Values of other fields: whole when short, and their words, each with the field's name. */
  #value(name: string, value: string): void {
    const text = `${name}: ${shape(value.slice(0, 60))}`;
    this.#set.addToken(KIND.fieldValue, hashText(KIND.fieldValue, text), text, 0, text.length);
  }
}

/** A value with digits and runs of letters of hexadecimal look reduced to their form. */
function shape(value: string): string {
  let form = '';
  let run = 0;
  for (let i = 0; i < value.length; i++) {
    const code = value.charCodeAt(i);
    const digit = code >= 0x30 && code <= 0x39;
    if (digit) {
      if (run === 0) form += '9';
      run++;
    } else {
      run = 0;
      form += value[i];
    }
  }
  return form;
}

/** The Message-ID with letters, digits and lengths told apart but not which: programs have forms of their own. */
function messageIdShape(value: string): string {
  const limited = value.slice(0, 200);
  let form = '';
  let last = '';
  let run = 0;
  const flush = (): void => {
    if (last !== '') form += run > 1 && last !== '.' ? `${last}${run > 12 ? '+' : run}` : last;
  };
  const end = limited.indexOf('@');
  for (let i = 0; i < (end === -1 ? limited.length : end); i++) {
    const code = limited.charCodeAt(i);
    const kind =
      code >= 0x30 && code <= 0x39
        ? '9'
        : code >= 0x61 && code <= 0x7a
          ? 'a'
          : code >= 0x41 && code <= 0x5a
            ? 'A'
            : limited[i]!;
    if (kind === last) run++;
    else {
      flush();
      last = kind;
      run = 1;
    }
  }
  flush();
  return `${form.slice(0, 60)}${end === -1 ? '' : '@'}`;
}

/** The zone and how it is written, not the time. */
function zoneOf(date: string): string {
  const limited = date.slice(0, 80);
  const zone = /[+-]\d{4}|\b[A-Z]{2,4}$/.exec(limited)?.[0] ?? '';
  return zone === ''
    ? 'none'
    : `${zone}${limited.includes('(') ? ' with its name' : ''}${/^\s?[A-Z][a-z]{2},/.test(limited) ? '' : ' without a weekday'}`;
}
