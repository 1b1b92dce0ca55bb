/**
 * FETCH responses of what stands in the columns, written straight into the session's buffer: digits by hand, flags as
 * the bytes kept with their set. This is the path that clients take with every message of a mailbox at once.
 */

import { formatDateTime } from './date-time.ts';
import type { RecentUids } from './recent-uids.ts';
import type { Run } from './seq-map.ts';
import type { ImapWriter } from './writer.ts';

/** Data items that the columns have. */
export const COLUMN_ITEMS = { flags: 0, uid: 1, modSeq: 2, internalDate: 3, size: 4 } as const;
export type ColumnItem = (typeof COLUMN_ITEMS)[keyof typeof COLUMN_ITEMS];

const ascii = (text: string): Uint8Array => Buffer.from(text, 'latin1');
const UID = ascii('UID ');
const MODSEQ = ascii('MODSEQ (');
const SIZE = ascii('RFC822.SIZE ');
const INTERNALDATE = ascii('INTERNALDATE "');
const FETCH = ascii(' FETCH (');
/** Longest form of any item but FLAGS, and of what stands around the items. */
const ITEM_BYTES_MAX = 48;
const DAY_SECONDS = 86_400;
const DAYS_CACHED = 4_096;
const UINT32_END = 2 ** 32;

/** `dd-Mmm-yyyy ` by day since 1970. */
const days = new Map<number, Uint8Array>();

function dayBytes(day: number): Uint8Array {
  let bytes = days.get(day);
  if (bytes === undefined) {
    if (days.size >= DAYS_CACHED) days.clear();
    bytes = ascii(formatDateTime(day * DAY_SECONDS).slice(0, 12));
    days.set(day, bytes);
  }
  return bytes;
}

function put(buffer: Uint8Array, at: number, bytes: Uint8Array): number {
  for (let i = 0; i < bytes.length; i++) buffer[at + i] = bytes[i]!;
  return at + bytes.length;
}

function putInteger(buffer: Uint8Array, at: number, value: number): number {
  let digits = 1;
  for (let limit = 10; value >= limit; limit *= 10) digits++;
  let rest = value;
  for (let i = at + digits - 1; i >= at; i--) {
    const next = (rest / 10) >>> 0;
    buffer[i] = 0x30 + rest - next * 10;
    rest = next;
  }
  return at + digits;
}

function putNumber(buffer: Uint8Array, at: number, value: number): number {
  if (value < UINT32_END) return putInteger(buffer, at, value);
  const text = String(value);
  for (let i = 0; i < text.length; i++) buffer[at + i] = text.charCodeAt(i);
  return at + text.length;
}

function putTwo(buffer: Uint8Array, at: number, value: number): number {
  const tens = (value / 10) >>> 0;
  buffer[at] = 0x30 + tens;
  buffer[at + 1] = 0x30 + value - tens * 10;
  return at + 2;
}

/** date-time, UTC. */
function putDateTime(buffer: Uint8Array, start: number, seconds: number): number {
  const day = Math.floor(seconds / DAY_SECONDS);
  const time = Math.floor(seconds) - day * DAY_SECONDS;
  let at = put(buffer, start, dayBytes(day));
  at = putTwo(buffer, at, Math.floor(time / 3600));
  buffer[at++] = 0x3a;
  at = putTwo(buffer, at, Math.floor(time / 60) % 60);
  buffer[at++] = 0x3a;
  at = putTwo(buffer, at, time % 60);
  return put(buffer, at, ZONE);
}
const ZONE = ascii(' +0000"');

/** The items of one row, at least one, with a space between; the room has been reserved. */
function putItems(
  buffer: Uint8Array,
  start: number,
  run: Run,
  row: number,
  items: readonly ColumnItem[],
  recent: RecentUids,
): number {
  const { rows } = run;
  let at = start;
  for (let i = 0; i < items.length; i++) {
    if (i > 0) buffer[at++] = 0x20;
    switch (items[i]) {
      case COLUMN_ITEMS.flags: {
        const entry = rows.table.entries[rows.flags[row]!]!;
        const uid = rows.uids[row]!;
        at = put(buffer, at, uid >= recent.first && recent.has(uid) ? entry.recentBytes : entry.bytes);
        break;
      }
      case COLUMN_ITEMS.uid:
        at = putInteger(buffer, put(buffer, at, UID), rows.uids[row]!);
        break;
      case COLUMN_ITEMS.modSeq:
        at = putNumber(buffer, put(buffer, at, MODSEQ), rows.modSeqs[row]!);
        buffer[at++] = 0x29;
        break;
      case COLUMN_ITEMS.internalDate:
        at = putDateTime(buffer, put(buffer, at, INTERNALDATE), rows.dates[row]!);
        break;
      case COLUMN_ITEMS.size:
        at = putInteger(buffer, put(buffer, at, SIZE), rows.sizes[row]!);
        break;
    }
  }
  return at;
}

const roomFor = (run: Run, items: readonly ColumnItem[]): number =>
  (items.length + 1) * ITEM_BYTES_MAX + run.rows.table.bytesMax;

/** `* n FETCH (` and the items; what follows is the caller's. */
export function beginRow(out: ImapWriter, run: Run, items: readonly ColumnItem[], recent: RecentUids): void {
  const buffer = out.reserve(roomFor(run, items));
  let at = out.position;
  buffer[at++] = 0x2a;
  buffer[at++] = 0x20;
  at = put(buffer, putInteger(buffer, at, run.seq), FETCH);
  out.position = putItems(buffer, at, run, run.row, items, recent);
}

/**
 * Whole responses for the run's messages, until the buffer is worth sending.
 * @returns how many were written
 */
export function writeRows(out: ImapWriter, run: Run, items: readonly ColumnItem[], recent: RecentUids): number {
  const room = roomFor(run, items);
  for (let i = 0; i < run.length; i++) {
    const buffer = out.reserve(room);
    let at = out.position;
    buffer[at++] = 0x2a;
    buffer[at++] = 0x20;
    at = put(buffer, putInteger(buffer, at, run.seq + i), FETCH);
    at = putItems(buffer, at, run, run.row + i, items, recent);
    buffer[at++] = 0x29;
    buffer[at++] = 0x0d;
    buffer[at++] = 0x0a;
    out.position = at;
    if (out.needsFlush) return i + 1;
  }
  return run.length;
}
