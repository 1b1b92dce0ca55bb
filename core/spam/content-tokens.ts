/**
 * Content tokens (group 3): words and pairs of the visible text, hosts, domains and path words of links, names and types
 * of attachments.
 */

import type { FeatureSet } from './feature-set.ts';
import { hashPair, hashText } from './hash.ts';
import { KIND } from './kinds.ts';
import type { Link } from './links.ts';
import { organisationOf } from './sender.ts';
import type { Attachment } from './view.ts';
import { eachWord, type WordVisitor } from './words.ts';

const LINKS_MAX = 40;
const PATH_WORDS_MAX = 8;

/** What the words of a text amount to, for the signals. */
export interface WordCounts {
  words: number;
  /** With letters and digits mixed, or very long. */
  odd: number;
  units: number;
}

export class ContentTokens implements WordVisitor {
  readonly counts: WordCounts = { words: 0, odd: 0, units: 0 };
  readonly #set: FeatureSet;
  #before = 0;
  #beforeStart = 0;

  constructor(set: FeatureSet) {
    this.#set = set;
  }

  clear(): void {
    this.counts.words = 0;
    this.counts.odd = 0;
    this.counts.units = 0;
  }

  /** `text` is normalised. */
  addText(text: string, wordsMax: number): void {
    this.#before = 0;
    eachWord(text, 0, text.length, wordsMax, this);
  }

  word(text: string, start: number, end: number, digits: number): void {
    const length = end - start;
    this.counts.words++;
    this.counts.units += length;
    let hash: number;
    if (digits > 0 && digits < length && length > 4) {
      // Serial numbers and words made unlike each other on purpose: their form, not their letters.
      this.counts.odd++;
      hash = hashText(KIND.wordShape, '', 0, 0) + Math.min(length, 20);
      this.#set.addToken(KIND.wordShape, hash, text, start, end);
    } else if (length > 24) {
      this.counts.odd++;
      hash = hashText(KIND.wordShape, 'long', 0, 4) + Math.min(length >> 3, 12);
      this.#set.addToken(KIND.wordShape, hash, text, start, Math.min(end, start + 40));
    } else if (digits > 4) {
      hash = hashText(KIND.wordShape, '#', 0, 1) + length;
      this.#set.addToken(KIND.wordShape, hash, text, start, end);
    } else {
      hash = hashText(KIND.word, text, start, end);
      this.#set.addToken(KIND.word, hash, text, start, end);
    }
    if (this.#before !== 0)
      this.#set.addToken(KIND.wordPair, hashPair(this.#before, hash), text, this.#beforeStart, end);
    this.#before = hash;
    this.#beforeStart = start;
  }

  addLinks(links: readonly Link[]): void {
    const seen = new Set<string>();
    for (const link of links) {
      if (seen.size >= LINKS_MAX) break;
      if (link.host === '' || seen.has(link.host + link.path)) continue;
      seen.add(link.host + link.path);
      this.#token(KIND.linkHost, link.host);
      if (link.address) continue;
      const organisation = organisationOf(link.host);
      this.#token(KIND.linkDomain, organisation);
      this.#token(KIND.linkTop, organisation.slice(organisation.lastIndexOf('.') + 1));
      this.#path(link.path);
    }
  }

  addAttachments(attachments: readonly Attachment[]): void {
    for (const { type, filename } of attachments) {
      this.#token(KIND.attachmentType, type);
      if (filename === '') continue;
      const name = filename.slice(-120).toLowerCase();
      const dot = name.lastIndexOf('.');
      if (dot !== -1) this.#token(KIND.attachmentExtension, name.slice(dot + 1, dot + 13));
      let words = 0;
      for (const word of (dot === -1 ? name : name.slice(0, dot)).split(/[^\p{L}]+/u)) {
        if (word.length < 2 || words++ >= PATH_WORDS_MAX) continue;
        this.#token(KIND.attachmentWord, word);
      }
    }
  }

  #path(path: string): void {
    let words = 0;
    let start = -1;
    for (let i = 0; i <= path.length && words < PATH_WORDS_MAX; i++) {
      const code = i < path.length ? path.charCodeAt(i) : 0;
      const letter = code >= 0x61 && code <= 0x7a;
      if (letter && start === -1) start = i;
      if (letter || start === -1) continue;
      if (i - start >= 2 && i - start <= 24) {
        this.#set.addToken(KIND.linkPath, hashText(KIND.linkPath, path, start, i), path, start, i);
        words++;
      }
      start = -1;
    }
  }

  #token(kind: number, text: string): void {
    if (text !== '') this.#set.addToken(kind, hashText(kind, text), text, 0, text.length);
  }
}
