/**
 * Sequence sets of a command as ranges of the session's sequence numbers: ascending, apart, each message once however
 * the client's ranges overlap.
 */

import { BadSyntax } from './bad-syntax.ts';
import type { SeqMap } from './seq-map.ts';
import type { SequenceSet } from './sequence-set.ts';

export interface SeqRange {
  readonly from: number;
  readonly to: number;
}

const UID_MAX = 0xffff_ffff;

/** Ranges by value, ascending and merged; `*` stands for `last`. */
export function plainRanges(set: SequenceSet, last: number): SeqRange[] {
  if (set.saved) throw new BadSyntax('There are no saved search results');
  const ranges: { from: number; to: number }[] = [];
  for (const range of set.ranges) {
    const a = range.from === '*' ? last : range.from;
    const b = range.to === '*' ? last : range.to;
    ranges.push(a <= b ? { from: a, to: b } : { from: b, to: a });
  }
  ranges.sort((a, b) => a.from - b.from);
  const merged: { from: number; to: number }[] = [];
  for (const range of ranges) {
    const before = merged.at(-1);
    if (before !== undefined && range.from <= before.to + 1) before.to = Math.max(before.to, range.to);
    else merged.push(range);
  }
  return merged;
}

/**
 * RFC 9051 §9, seq-number: BAD for a number above the count of messages, and for `*` in an empty mailbox.
 * @param lenient those are left out instead (in SEARCH they only match nothing)
 */
export function seqRanges(set: SequenceSet, map: SeqMap, lenient = false): readonly SeqRange[] {
  const { count } = map;
  const ranges = plainRanges(set, count);
  const last = ranges.at(-1);
  if (last === undefined) return ranges;
  if (last.to <= count && ranges[0]!.from > 0) return ranges;
  if (!lenient) throw new BadSyntax('There is no message with that sequence number');
  return ranges
    .filter(({ from, to }) => from <= count && to > 0)
    .map(({ from, to }) => ({ from: Math.max(1, from), to: Math.min(count, to) }));
}

/** RFC 9051 §6.4.9: uids that do not exist are ignored; `*` is the highest uid, whatever stands before it. */
export function uidRanges(set: SequenceSet, map: SeqMap): readonly SeqRange[] {
  const { count } = map;
  if (count === 0) return [];
  const ranges: SeqRange[] = [];
  for (const { from, to } of plainRanges(set, map.uidAt(count))) {
    const first = map.rank(from) + 1;
    const last = map.rank(Math.min(to, UID_MAX) + 1);
    if (first <= last) ranges.push({ from: first, to: last });
  }
  return ranges;
}

export const countMessages = (ranges: readonly SeqRange[]): number =>
  ranges.reduce((sum, { from, to }) => sum + to - from + 1, 0);
