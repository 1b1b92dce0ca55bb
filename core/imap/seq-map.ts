/**
 * Sequence numbers of one session over columns that others change (RFC 9051 §2.3.1.2). The client's messages are the
 * columns' rows up to the highest uid it was told of, and the ghosts: messages that are gone but not announced as
 * expunged. Both are ascending, so every look-up is a binary search, and a session that is up to date holds nothing.
 */

import { lowerBound, PackedRows, type Rows } from './packed-rows.ts';

/** Messages with consecutive sequence numbers that are consecutive rows: rows [row, row + length) from `seq` on. */
export interface Run {
  readonly rows: Rows;
  readonly row: number;
  readonly length: number;
  readonly seq: number;
}

const UID_MAX = 0xffff_ffff;

/** Ghosts of sessions that have the same ones already are merged once for all of them. */
const merges = new WeakMap<Rows, WeakMap<Rows, Rows>>();

function merge(a: Rows, b: Rows): Rows {
  const { table } = b;
  const merged = new PackedRows(table, a.length + b.length);
  let i = 0;
  for (let j = 0; j <= b.length; j++) {
    const next = j < b.length ? b.uids[j]! : UID_MAX + 1;
    for (; i < a.length && a.uids[i]! < next; i++) {
      merged.pushFrom(a, i);
      if (a.table !== table) merged.flags[merged.length - 1] = table.number(a.table.get(a.flags[i]!).names);
    }
    if (j < b.length) merged.pushFrom(b, j);
  }
  return merged;
}

export class SeqMap {
  readonly #rows: Rows;
  #ghosts: Rows | null = null;
  /** The client knows no message above this uid. */
  #toldUid = 0;

  constructor(rows: Rows) {
    this.#rows = rows;
  }

  get toldUid(): number {
    return this.#toldUid;
  }

  get ghosts(): Rows | null {
    return this.#ghosts;
  }

  /** How many messages the client knows. */
  get count(): number {
    return this.#told() + (this.#ghosts?.length ?? 0);
  }

  /** Messages up to this uid are known from now on. */
  tell(uid: number): void {
    this.#toldUid = uid;
  }

  /** Rows have left the columns (or are about to): the client still counts those that it knows. */
  gone(rows: Rows): void {
    const known = lowerBound(rows.uids, rows.length, this.#toldUid + 1);
    if (known === 0) return;
    let more = rows;
    if (known < rows.length) {
      const part = new PackedRows(rows.table, known);
      for (let row = 0; row < known; row++) part.pushFrom(rows, row);
      more = part;
    }
    const before = this.#ghosts;
    if (before === null) {
      this.#ghosts = more;
      return;
    }
    let byBefore = merges.get(more);
    if (byBefore === undefined) {
      byBefore = new WeakMap();
      merges.set(more, byBefore);
    }
    let merged = byBefore.get(before);
    if (merged === undefined) {
      merged = merge(before, more);
      byBefore.set(before, merged);
    }
    this.#ghosts = merged;
  }

  /** The ghosts are announced: gives them with their sequence numbers (as they are before any is taken out). */
  bury(): { readonly rows: Rows; readonly seqs: Uint32Array } | null {
    const rows = this.#ghosts;
    if (rows === null) return null;
    const seqs = new Uint32Array(rows.length);
    for (let ghost = 0; ghost < rows.length; ghost++) seqs[ghost] = this.#ghostSeq(ghost);
    this.#ghosts = null;
    return { rows, seqs };
  }

  /** How many of the client's messages have a uid below. */
  rank(uid: number): number {
    const rows = Math.min(lowerBound(this.#rows.uids, this.#rows.length, uid), this.#told());
    return this.#ghosts === null ? rows : rows + lowerBound(this.#ghosts.uids, this.#ghosts.length, uid);
  }

  /** 0 where the client knows no such message. */
  seqOf(uid: number): number {
    const rank = this.rank(uid);
    return rank < this.count && this.uidAt(rank + 1) === uid ? rank + 1 : 0;
  }

  /** The uid of sequence number 1 … count. */
  uidAt(seq: number): number {
    const ghost = this.#ghostsBelow(seq);
    if (this.#ghosts !== null && ghost < this.#ghosts.length && this.#ghostSeq(ghost) === seq)
      return this.#ghosts.uids[ghost]!;
    return this.#rows.uids[seq - 1 - ghost]!;
  }

  /** Messages from..to as runs, in order. Valid until the next await. */
  *runs(from: number, to: number): Generator<Run> {
    if (this.#ghosts === null) {
      if (from <= to) yield { rows: this.#rows, row: from - 1, length: to - from + 1, seq: from };
      return;
    }
    let ghost = this.#ghostsBelow(from);
    for (let seq = from; seq <= to; ) {
      const next = ghost < this.#ghosts.length ? this.#ghostSeq(ghost) : to + 1;
      if (next > seq) {
        const length = Math.min(next, to + 1) - seq;
        yield { rows: this.#rows, row: seq - 1 - ghost, length, seq };
        seq += length;
        continue;
      }
      let length = 1;
      while (
        ghost + length < this.#ghosts.length &&
        seq + length <= to &&
        this.#ghostSeq(ghost + length) === seq + length
      )
        length++;
      yield { rows: this.#ghosts, row: ghost, length, seq };
      ghost += length;
      seq += length;
    }
  }

  /** Rows of the columns that the client knows. */
  #told(): number {
    const { uids, length } = this.#rows;
    if (length === 0 || uids[length - 1]! <= this.#toldUid) return length;
    return lowerBound(uids, length, this.#toldUid + 1);
  }

  #ghostSeq(ghost: number): number {
    return lowerBound(this.#rows.uids, this.#rows.length, this.#ghosts!.uids[ghost]!) + ghost + 1;
  }

  /** How many ghosts have a lower sequence number. */
  #ghostsBelow(seq: number): number {
    let low = 0;
    let high = this.#ghosts?.length ?? 0;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#ghostSeq(middle) < seq) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
