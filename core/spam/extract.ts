/**
 * From a message to its features. One extractor is used for many messages in turn: its buffers are its own, and what it
 * gives is void at the next `extract`. The same input always gives the same features.
 */

import type { AuthenticationFacts } from './authentication-facts.ts';
import { FeatureEncoder } from './codec.ts';
import { ContentTokens } from './content-tokens.ts';
import { FeatureSet, type Origin } from './feature-set.ts';
import { HeaderTokens } from './header-tokens.ts';
import { type Link, linksInText, parseLink } from './links.ts';
import { type NormalisedText, normaliseText } from './normalise.ts';
import { RouteTokens } from './route-tokens.ts';
import {
  CONTENT,
  type FeatureLists,
  GROUP_BUCKETS,
  HEADER,
  RAW,
  ROUTE,
  SIGNAL,
  SIGNAL_STEPS,
  SIGNALS,
  TEXT,
} from './schema.ts';
import { type Sender, senderOf } from './sender.ts';
import { readSignals } from './signals.ts';
import { isTraceField } from './trace-fields.ts';
import { decodedField, type MessageView, viewMessage } from './view.ts';

/** What is known about a message. Unknown things are null and give no features. */
export interface ExtractInput {
  /** The message as it was received, or its beginning. */
  readonly bytes: Uint8Array;
  /** The reverse-path without brackets; '' for the null reverse-path. */
  readonly envelopeSender: string | null;
  readonly helo: string | null;
  readonly clientAddress: string | null;
  readonly tls: boolean | null;
  readonly authentication: AuthenticationFacts | null;
}

const RAW_BYTES = 3000;
const TEXT_UNITS = 2500;
const WORDS_MAX = 2500;
const LINKS_MAX = 60;
const SAMPLE_UNITS = 4000;
/** Distinct features of each group. */
const FEATURES_MAX = [RAW_BYTES, 1500, 6500, 4000, 600, SIGNALS.length];

const NAMED = [HEADER, CONTENT, ROUTE];

const LF = 0x0a;
const CR = 0x0d;

export class Extractor implements FeatureLists {
  readonly lists: readonly Uint32Array[];
  readonly counts = new Int32Array(GROUP_BUCKETS.length);
  readonly signals = new Uint8Array(SIGNALS.length);
  sender: Sender = { address: '', domain: '', organisation: '', authenticated: false };
  readonly #sets: readonly FeatureSet[];
  readonly #raw = new Uint8Array(RAW_BYTES);
  readonly #encoder = new FeatureEncoder();
  readonly #headerTokens: HeaderTokens;
  readonly #contentTokens: ContentTokens;
  readonly #routeTokens: RouteTokens;

  constructor() {
    this.#sets = GROUP_BUCKETS.map(
      (buckets, group) => new FeatureSet(buckets, FEATURES_MAX[group]!, NAMED.includes(group)),
    );
    this.lists = this.#sets.map((set) => set.list);
    this.#headerTokens = new HeaderTokens(this.#sets[HEADER]!);
    this.#contentTokens = new ContentTokens(this.#sets[CONTENT]!);
    this.#routeTokens = new RouteTokens(this.#sets[ROUTE]!);
  }

  extract(input: ExtractInput): void {
    for (const set of this.#sets) set.clear();
    this.#contentTokens.clear();
    const view = viewMessage(input.bytes);
    const from = view.fields.find((field) => field.name === 'from')?.value ?? '';
    this.sender = senderOf(from, input.envelopeSender, input.authentication);

    const removed = { zeroWidth: 0, directionMarks: 0, confusables: 0, compatibility: 0 };
    const normal = (text: string): string => {
      const result = normaliseText(text);
      add(removed, result);
      return result.text;
    };
    const rawSubject = decodedField(view, 'subject');
    const subject = normal(rawSubject.slice(0, 1000));
    const fromName = normal(displayName(decodedField(view, 'from')));
    const texts = view.texts.map((part) => normal(part.text));
    const links = linksOf(view);

    const raw = this.#sets[RAW]!;
    raw.addByteGrams(this.#raw, 0, this.#copyRaw(view));
    this.#headerTokens.add({ fields: view.fields, sender: this.sender, subject, fromName });
    this.#routeTokens.add({ ...input, fields: view.fields });
    let words = WORDS_MAX;
    for (const text of texts) {
      const before = this.#contentTokens.counts.words;
      this.#contentTokens.addText(text, words);
      words -= this.#contentTokens.counts.words - before;
    }
    this.#contentTokens.addLinks(links);
    this.#contentTokens.addAttachments(view.attachments);
    this.#addText(subject, texts);
    readSignals(
      {
        ...input,
        view,
        sender: this.sender,
        subject: rawSubject,
        fromName,
        removed,
        words: this.#contentTokens.counts,
        links,
        sample: (view.texts[0]?.text ?? '').slice(0, SAMPLE_UNITS),
      },
      this.signals,
    );
    const signals = this.#sets[SIGNAL]!;
    for (let i = 0; i < this.signals.length; i++)
      if (this.signals[i]! > 0) signals.addBucket(i * SIGNAL_STEPS + this.signals[i]!);
    for (let group = 0; group < this.#sets.length; group++) this.counts[group] = this.#sets[group]!.count;
  }

  /** The last message's features as they are stored. */
  encode(): Uint8Array {
    return this.#encoder.encode(this.#sets, this.signals);
  }

  /** Where a feature of the last message came from: group and place in its list. */
  origin(group: number, place: number): Origin | null {
    return this.#sets[group]!.origin(place);
  }

  /**
   * The first bytes of the message as the raw group sees them: without the fields that speak of the receiving side, and
   * with LF line ends, so that the way a message was stored makes no difference.
   */
  #copyRaw(view: MessageView): number {
    const out = this.#raw;
    let length = 0;
    const copy = (start: number, end: number): void => {
      for (let i = start; i < end && length < out.length; i++) {
        const byte = view.bytes[i]!;
        if (byte !== CR) out[length++] = byte;
      }
    };
    for (const field of view.header.fields) {
      if (length === out.length) break;
      if (field.lower !== '' && !isTraceField(field.lower)) copy(field.start, field.end);
    }
    if (length < out.length) out[length++] = LF;
    copy(view.header.end, view.bytes.length);
    return length;
  }

  #addText(subject: string, texts: readonly string[]): void {
    const set = this.#sets[TEXT]!;
    const spaced = collapse(` ${subject} `);
    set.addTextGrams(spaced, 0, Math.min(spaced.length, 300));
    let left = TEXT_UNITS;
    for (const text of texts) {
      if (left <= 3) break;
      const body = collapse(text.slice(0, left * 2)).slice(0, left);
      set.addTextGrams(body, 0, body.length);
      left -= body.length;
    }
  }
}

const collapse = (text: string): string => text.replace(/\s+/g, ' ');

function add(sum: { -readonly [K in keyof Omit<NormalisedText, 'text'>]: number }, one: NormalisedText): void {
  sum.zeroWidth += one.zeroWidth;
  sum.directionMarks += one.directionMarks;
  sum.confusables += one.confusables;
  sum.compatibility += one.compatibility;
}

/** The display name of a decoded From value. */
function displayName(from: string): string {
  const limited = from.slice(0, 500);
  const open = limited.lastIndexOf('<');
  return open === -1 ? '' : limited.slice(0, open).replace(/"/g, '').trim();
}

function linksOf(view: MessageView): Link[] {
  const links: Link[] = [];
  for (const part of view.texts) {
    const urls = part.html === null ? linksInText(part.text, LINKS_MAX) : part.html.urls;
    for (const url of urls) {
      if (links.length >= LINKS_MAX) return links;
      const link = parseLink(url);
      if (link !== null) links.push(link);
    }
  }
  return links;
}
