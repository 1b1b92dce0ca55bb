/**
 * What commits change, as values that can be laid over what the collections hold: every effect says what is true of its
 * row, mailbox or name from then on, with the modSeq of the commit, so laying it over twice, or over something newer that
 * wins by its modSeq, changes nothing. A log entry is the effects of one commit in a compact form.
 */

import { randomBytes } from 'node:crypto';
import { BSON } from 'mongodb';
import type { FlagSet } from '../../core/mail/flags.ts';
import {
  AFTERLIFE_MS,
  type LogEntry,
  type LogPart,
  type MailboxState,
  type OutboxItem,
  type Receipt,
} from './mail-store-schema.ts';

/** One message of a mailbox, or what is left of it: `content` is 0 in a tombstone. */
export interface RowState {
  readonly uid: number;
  readonly flags: FlagSet;
  readonly modSeq: number;
  readonly created: number;
  readonly date: number;
  readonly size: number;
  readonly content: number;
}

export interface At<T> {
  readonly value: T;
  /** Of the commit that made it so. */
  readonly modSeq: number;
}

export class Effects {
  /** By mailbox and uid. */
  readonly rows = new Map<string, Map<number, RowState>>();
  readonly mailboxes = new Map<string, At<MailboxState>>();
  readonly subscriptions = new Map<string, At<boolean>>();
  readonly receipts = new Map<string, At<Receipt>>();
  readonly outbox = new Map<string, At<OutboxItem>>();
  /** Contents that may have lost their last message, by number. */
  readonly dying = new Map<number, number>();

  putRow(mailbox: string, row: RowState): void {
    let rows = this.rows.get(mailbox);
    if (rows === undefined) {
      rows = new Map();
      this.rows.set(mailbox, rows);
    }
    rows.set(row.uid, row);
  }

  /** Lays later effects over these. */
  add(later: Effects): void {
    for (const [mailbox, rows] of later.rows) {
      const mine = this.rows.get(mailbox);
      if (mine === undefined) this.rows.set(mailbox, new Map(rows));
      else for (const [uid, row] of rows) mine.set(uid, row);
    }
    for (const [id, mailbox] of later.mailboxes) this.mailboxes.set(id, mailbox);
    for (const [name, on] of later.subscriptions) this.subscriptions.set(name, on);
    for (const [id, receipt] of later.receipts) this.receipts.set(id, receipt);
    for (const [id, item] of later.outbox) this.outbox.set(id, item);
    for (const [content, at] of later.dying) this.dying.set(content, at);
  }
}

/** Bytes of a row: uid, flags, size (32 bits), created, date, content (64-bit floats). */
const ROW_BYTES = 36;
/** Rows and bytes in one document of a spilled commit: far below the 16 MB that a document may have. */
const PART_ROWS = 50_000;
const PART_BYTES = 4 * 1024 * 1024;
/** A larger part is not kept in the account's document. */
const INLINE_BYTES = 32 * 1024;

class PartDraft {
  readonly rows: { mailbox: string; sets: FlagSet[]; packed: Uint8Array }[] = [];
  readonly mailboxes: MailboxState[] = [];
  readonly subscriptions: { name: string; on: boolean }[] = [];
  readonly receipts: Receipt[] = [];
  readonly outbox: OutboxItem[] = [];
  readonly dying: number[] = [];
}

/** Fills parts one after the other. */
class PartWriter {
  readonly parts: PartDraft[] = [];
  #rows = 0;
  #bytes = 0;

  room(rows: number, bytes: number): PartDraft {
    const open = this.parts.at(-1);
    if (open !== undefined && this.#rows + rows <= PART_ROWS && this.#bytes + bytes <= PART_BYTES) {
      this.#rows += rows;
      this.#bytes += bytes;
      return open;
    }
    this.#rows = rows;
    this.#bytes = bytes;
    const part = new PartDraft();
    this.parts.push(part);
    return part;
  }
}

function packRows(rows: readonly RowState[]): { sets: FlagSet[]; packed: Uint8Array } {
  const packed = Buffer.allocUnsafe(rows.length * ROW_BYTES);
  const sets: FlagSet[] = [];
  const indexes = new Map<string, number>();
  const known = new Map<FlagSet, number>();
  rows.forEach(({ uid, flags, created, date, size, content }, i) => {
    let index = known.get(flags);
    if (index === undefined) {
      const name = flags.join(' ');
      index = indexes.get(name) ?? sets.push(flags) - 1;
      indexes.set(name, index);
      known.set(flags, index);
    }
    const at = i * ROW_BYTES;
    packed.writeUInt32LE(uid, at);
    packed.writeUInt32LE(index, at + 4);
    packed.writeUInt32LE(size, at + 8);
    packed.writeDoubleLE(created, at + 12);
    packed.writeDoubleLE(date, at + 20);
    packed.writeDoubleLE(content, at + 28);
  });
  return { sets, packed };
}

export function encodeParts(effects: Effects): LogPart[] {
  const writer = new PartWriter();
  writer.room(0, 0);
  for (const { value } of effects.mailboxes.values()) writer.room(0, 2500).mailboxes.push(value);
  for (const [name, { value }] of effects.subscriptions) writer.room(0, 2500).subscriptions.push({ name, on: value });
  for (const { value } of effects.receipts.values())
    writer.room(0, 200 + (value.result?.length ?? 0)).receipts.push(value);
  for (const { value } of effects.outbox.values()) writer.room(0, 500 + value.payload.length * 3).outbox.push(value);
  for (const content of effects.dying.keys()) writer.room(0, 20).dying.push(content);
  for (const [mailbox, rows] of effects.rows) {
    const list = [...rows.values()];
    for (let at = 0; at < list.length; at += PART_ROWS) {
      const some = list.slice(at, at + PART_ROWS);
      writer.room(some.length, 0).rows.push({ mailbox, ...packRows(some) });
    }
  }
  return writer.parts;
}

/** What the collector and the readers of the outbox look for in the collections. */
const isUrgent = ({ dying, outbox, mailboxes }: Effects): boolean =>
  dying.size > 0 || outbox.size > 0 || [...mailboxes.values()].some(({ value }) => value.name === null);

export interface Encoded {
  readonly entry: LogEntry;
  /** What the entry takes in the account's document. */
  readonly bytes: number;
  /** To be stored in `commits` before the entry is. */
  readonly spilled: readonly LogPart[];
}

/** @param room bytes that the account's document has left */
export function encodeEntry(effects: Effects, m: number, at: number, room: number): Encoded {
  const parts = encodeParts(effects);
  const due = isUrgent(effects) ? at : at + AFTERLIFE_MS;
  const part = parts[0]!;
  const bytes = parts.length > 1 ? Number.POSITIVE_INFINITY : BSON.calculateObjectSize(part) + 60;
  if (bytes <= Math.min(room, INLINE_BYTES)) return { entry: { m, due, part }, bytes, spilled: [] };
  const spill = randomBytes(9).toString('base64url');
  return { entry: { m, due, spill, parts: parts.length }, bytes: 150, spilled: parts };
}

export function decodePart(part: LogPart, m: number, into: Effects): void {
  for (const { mailbox, sets, packed } of part.rows) {
    const bytes = Buffer.from(packed.buffer, packed.byteOffset, packed.length);
    for (let at = 0; at < bytes.length; at += ROW_BYTES)
      into.putRow(mailbox, {
        uid: bytes.readUInt32LE(at),
        flags: sets[bytes.readUInt32LE(at + 4)]!,
        size: bytes.readUInt32LE(at + 8),
        modSeq: m,
        created: bytes.readDoubleLE(at + 12),
        date: bytes.readDoubleLE(at + 20),
        content: bytes.readDoubleLE(at + 28),
      });
  }
  for (const mailbox of part.mailboxes) into.mailboxes.set(mailbox.id, { value: mailbox, modSeq: m });
  for (const { name, on } of part.subscriptions) into.subscriptions.set(name, { value: on, modSeq: m });
  for (const receipt of part.receipts) into.receipts.set(receipt.id, { value: receipt, modSeq: m });
  for (const item of part.outbox) into.outbox.set(item.id, { value: item, modSeq: m });
  for (const content of part.dying) into.dying.set(content, m);
}
