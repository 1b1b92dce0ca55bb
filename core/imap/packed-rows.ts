/**
 * A mailbox's messages as packed columns, uid ascending, one copy for everyone who reads them. Arrays have spare room at
 * their ends, so that appends cost little; only the first `length` places count. Readers hold no row number over an
 * await: rows move when others expunge.
 */

import type { FlagTable } from './flag-table.ts';

export interface RowValues {
  readonly uid: number;
  /** A number of the flag table that belongs to the rows. */
  readonly flags: number;
  readonly modSeq: number;
  /** INTERNALDATE, seconds since 1970. */
  readonly date: number;
  readonly size: number;
  readonly content: number;
}

/** The first place among the first `length` of ascending `values` that is not below `value`. */
export function lowerBound(values: Uint32Array, length: number, value: number): number {
  let low = 0;
  let high = length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (values[middle]! < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** What `PackedRows` is to readers. */
export interface Rows {
  readonly length: number;
  readonly table: FlagTable;
  readonly uids: Uint32Array;
  readonly flags: Uint32Array;
  readonly modSeqs: Float64Array;
  readonly dates: Float64Array;
  readonly sizes: Uint32Array;
  readonly contents: Float64Array;
}

const CAPACITY_MIN = 16;

export class PackedRows implements Rows {
  length = 0;
  table: FlagTable;
  uids: Uint32Array;
  flags: Uint32Array;
  modSeqs: Float64Array;
  dates: Float64Array;
  sizes: Uint32Array;
  contents: Float64Array;

  constructor(table: FlagTable, capacity = 0) {
    this.table = table;
    this.uids = new Uint32Array(capacity);
    this.flags = new Uint32Array(capacity);
    this.modSeqs = new Float64Array(capacity);
    this.dates = new Float64Array(capacity);
    this.sizes = new Uint32Array(capacity);
    this.contents = new Float64Array(capacity);
  }

  /** The highest uid; 0 for none. */
  get lastUid(): number {
    return this.length === 0 ? 0 : this.uids[this.length - 1]!;
  }

  /** The row of a uid, or −1. */
  find(uid: number): number {
    const row = lowerBound(this.uids, this.length, uid);
    return row < this.length && this.uids[row] === uid ? row : -1;
  }

  /** Appends a message; its uid is above all others. */
  push(values: RowValues): void {
    if (this.length === this.uids.length) this.#grow();
    const row = this.length++;
    this.uids[row] = values.uid;
    this.flags[row] = values.flags;
    this.modSeqs[row] = values.modSeq;
    this.dates[row] = values.date;
    this.sizes[row] = values.size;
    this.contents[row] = values.content;
  }

  /** Appends a row of other rows with the same table. */
  pushFrom(rows: Rows, row: number): void {
    this.push({
      uid: rows.uids[row]!,
      flags: rows.flags[row]!,
      modSeq: rows.modSeqs[row]!,
      date: rows.dates[row]!,
      size: rows.sizes[row]!,
      content: rows.contents[row]!,
    });
  }

  /** Takes rows out. @param gone row numbers, ascending */
  remove(gone: readonly number[]): void {
    if (gone.length === 0) return;
    for (const column of this.#columns()) {
      let to = gone[0]!;
      for (let i = 0; i < gone.length; i++) {
        const from = gone[i]! + 1;
        const end = gone[i + 1] ?? this.length;
        column.copyWithin(to, from, end);
        to += end - from;
      }
    }
    this.length -= gone.length;
  }

  #columns(): (Uint32Array | Float64Array)[] {
    return [this.uids, this.flags, this.modSeqs, this.dates, this.sizes, this.contents];
  }

  #grow(): void {
    const capacity = Math.max(CAPACITY_MIN, Math.ceil(this.uids.length * 1.25));
    const ints = (old: Uint32Array): Uint32Array => {
      const grown = new Uint32Array(capacity);
      grown.set(old);
      return grown;
    };
    const floats = (old: Float64Array): Float64Array => {
      const grown = new Float64Array(capacity);
      grown.set(old);
      return grown;
    };
    this.uids = ints(this.uids);
    this.flags = ints(this.flags);
    this.modSeqs = floats(this.modSeqs);
    this.dates = floats(this.dates);
    this.sizes = ints(this.sizes);
    this.contents = floats(this.contents);
  }
}
