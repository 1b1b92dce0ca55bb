/**
 * Whether a message matches a search tree, as far as is known of it: true, false, or undefined while something that
 * matters has not been looked at. The searcher asks again after each more costly look.
 */

import { assertNever } from '../mail/errors.ts';
import type { FoldedField } from '../mime/search-text.ts';
import type { FlagEntry } from './flag-table.ts';
import type { SeqRange } from './message-set.ts';
import type { DateTest, SearchKey } from './search-keys.ts';

/** What is known of one message. */
export interface Facts {
  seq: number;
  uid: number;
  flags: FlagEntry;
  recent: boolean;
  modSeq: number;
  /** INTERNALDATE. */
  date: number;
  size: number;
  content: number;
  /** Start of the Date field's day, as it was written there; null for none. */
  sentDay?: number | null;
  fields?: readonly FoldedField[];
  /** The header as lines, made when a key wants it. */
  header?: string;
  /** Text keys that the body was searched for, or that the index has ruled out. */
  found?: Map<SearchKey, boolean>;
}

/** Sequence sets of the tree as ranges. */
export type Sets = ReadonlyMap<SearchKey, readonly SeqRange[]>;

export type Verdict = boolean | undefined;

const DAY_SECONDS = 86_400;

function inRanges(ranges: readonly SeqRange[], value: number): boolean {
  let low = 0;
  let high = ranges.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (ranges[middle]!.to < value) low = middle + 1;
    else high = middle;
  }
  return low < ranges.length && ranges[low]!.from <= value;
}

/** Both are starts of days. */
function testDay(day: number, test: DateTest, wanted: number): boolean {
  switch (test) {
    case 'before':
      return day < wanted;
    case 'on':
      return day === wanted;
    case 'since':
      return day >= wanted;
  }
}

export function evaluate(key: SearchKey, facts: Facts, sets: Sets): Verdict {
  switch (key.t) {
    case 'all':
      return true;
    case 'and': {
      let verdict: Verdict = true;
      for (const one of key.keys) {
        const part = evaluate(one, facts, sets);
        if (part === false) return false;
        if (part === undefined) verdict = undefined;
      }
      return verdict;
    }
    case 'or': {
      let verdict: Verdict = false;
      for (const one of key.keys) {
        const part = evaluate(one, facts, sets);
        if (part === true) return true;
        if (part === undefined) verdict = undefined;
      }
      return verdict;
    }
    case 'not': {
      const verdict = evaluate(key.key, facts, sets);
      return verdict === undefined ? undefined : !verdict;
    }
    case 'seq':
      return inRanges(sets.get(key)!, facts.seq);
    case 'uid':
      return inRanges(sets.get(key)!, facts.uid);
    case 'flag':
      return facts.flags.lower.has(key.name);
    case 'recent':
      return facts.recent;
    case 'received':
      // RFC 3501 §6.4.4: without time and zone; INTERNALDATE is shown, and so meant, in UTC.
      return testDay(Math.floor(facts.date / DAY_SECONDS) * DAY_SECONDS, key.test, key.day);
    case 'sent':
      if (facts.sentDay === undefined) return undefined;
      return facts.sentDay !== null && testDay(facts.sentDay, key.test, key.day);
    case 'larger':
      return facts.size > key.size;
    case 'smaller':
      return facts.size < key.size;
    case 'modSeq':
      return facts.modSeq >= key.least;
    case 'header': {
      const ruledOut = facts.found?.get(key);
      if (ruledOut !== undefined) return ruledOut;
      return facts.fields?.some(({ name, value }) => name === key.name && value.includes(key.needle));
    }
    case 'text': {
      const found = facts.found?.get(key);
      if (found !== undefined) return found;
      return facts.header?.includes(key.needle) === true ? true : undefined;
    }
    case 'body':
      return facts.found?.get(key);
    default:
      return assertNever(key);
  }
}
