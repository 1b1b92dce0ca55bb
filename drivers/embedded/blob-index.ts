/**
 * Main-thread side of the blob index. Rows are written behind the acknowledgement: what is durable in a pack but not
 * committed here yet is served from `#fresh`, and a crash is healed by reading the packs' tails. Rows reach the worker in
 * the order of the records, so a pack's `known` mark never passes a record whose row is missing.
 */

import fs from 'node:fs';
import path from 'node:path';
import type { StatementSync } from 'node:sqlite';
import { MailError } from '../../core/mail/errors.ts';
import type { BlobRef } from '../../core/mail/ids.ts';
import type { Damage } from '../../core/ports/blob-store.ts';
import type { IndexRow, Move, PackRow } from './blob-index-worker.ts';
import { SqliteWriter, sqliteFailure } from './sqlite-writer.ts';

/** Where a blob's record (or file, pack 0) is. `stored` counts the record's header. */
export interface Location {
  readonly pack: number;
  readonly offset: number;
  readonly stored: number;
  readonly size: number;
  readonly flags: number;
}
interface Fresh extends Location {
  readonly ref: BlobRef;
  at: number;
}

const FRESH_MAX = 20_000;
const BATCH_MAX = 1_000;
const RETRY_MS = 500;

/** In memory of its own: a view of a pool would be sent to the worker with the whole pool. */
export const refBytes = (ref: BlobRef): Uint8Array => Uint8Array.fromHex(ref);
export const refText = (bytes: Uint8Array): BlobRef =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex') as BlobRef;

/** The index is written behind: rows wait for others. */
const GATHER_MS = 25;

export class BlobIndex {
  readonly file: string;
  #writer: SqliteWriter;
  #lookup: StatementSync | undefined;
  readonly #fresh = new Map<BlobRef, Fresh>();
  #queue: Fresh[] = [];
  #sent = new Set<Fresh>();
  #sending: Promise<void> | undefined;
  #added = 0;
  #committed = 0;
  #failure: Error | undefined;
  #retry: NodeJS.Timeout | undefined;

  constructor(folder: string) {
    this.file = path.join(folder, 'blobs.db');
    this.#writer = this.#newWriter();
  }

  #newWriter(): SqliteWriter {
    return new SqliteWriter(this.file, new URL('./blob-index-worker.ts', import.meta.url), null, GATHER_MS);
  }

  /** The index can always be made again from the packs: one that SQLite can't read is set aside. */
  async open(): Promise<void> {
    try {
      await this.#writer.open();
      // Damage further in shows when it is read.
      await this.packs();
    } catch (error) {
      if (!(error instanceof MailError) || !['CORRUPT', 'NOTADB'].includes(String(error.facts.result))) throw error;
      await this.#writer.close();
      for (const suffix of ['-wal', '-shm']) fs.rmSync(this.file + suffix, { force: true });
      fs.renameSync(this.file, `${this.file}.broken`);
      this.#writer = this.#newWriter();
      await this.#writer.open();
    }
    this.#lookup = this.#writer.reader.prepare('SELECT pack, offset, stored, size, flags FROM blobs WHERE ref = ?');
  }

  async close(): Promise<void> {
    await this.settled();
    clearTimeout(this.#retry);
    await this.#writer.close();
  }

  find(ref: BlobRef): Location | undefined {
    const fresh = this.#fresh.get(ref);
    if (fresh !== undefined) return fresh;
    try {
      return this.#lookup!.get(refBytes(ref)) as Location | undefined;
    } catch (error) {
      throw sqliteFailure(error, this.file);
    }
  }

  /** Makes a durable blob findable at once. Waits only while too many rows are not committed yet. */
  async add(ref: BlobRef, location: Location, at: number): Promise<void> {
    const entry: Fresh = { ref, ...location, at };
    this.#fresh.set(ref, entry);
    this.#queue.push(entry);
    this.#added++;
    this.#send();
    while (this.#fresh.size > FRESH_MAX) {
      if (this.#failure !== undefined) throw this.#failure;
      await this.#sending;
    }
  }

  /** Renews a blob's grace and takes a dying mark away. False when it is gone. */
  async touch(ref: BlobRef, at: number): Promise<boolean> {
    const entry = this.#fresh.get(ref);
    if (entry !== undefined) {
      entry.at = at;
      if (!this.#sent.has(entry)) return true;
      await this.#sending;
      if (this.#fresh.has(ref)) return true;
    }
    return this.#writer.call<boolean>('touch', { ref: refBytes(ref), at }, 'volatile');
  }

  /** Resolves when everything added before the call is committed (true), or cannot be for now (false). */
  async settled(): Promise<boolean> {
    const target = this.#added;
    this.#send();
    while (this.#committed < target) {
      if (this.#sending === undefined) return false;
      await this.#sending;
    }
    return true;
  }

  #send(): void {
    if (this.#sending !== undefined || this.#queue.length === 0) return;
    this.#sending = this.#sendBatch().finally(() => {
      this.#sending = undefined;
      if (this.#failure === undefined) this.#send();
    });
  }

  async #sendBatch(): Promise<void> {
    const batch = this.#queue.slice(0, BATCH_MAX);
    this.#sent = new Set(batch);
    try {
      await this.insert(batch.map((entry) => ({ ...entry, ref: refBytes(entry.ref) })));
      this.#failure = undefined;
      this.#queue.splice(0, batch.length);
      this.#committed += batch.length;
      for (const entry of batch) this.#fresh.delete(entry.ref);
    } catch (error) {
      // The records are safe in the packs; their rows are tried again, in order, when the disk may have room.
      this.#failure = error as Error;
      this.#retry ??= setTimeout(() => {
        this.#retry = undefined;
        this.#send();
      }, RETRY_MS).unref();
    }
    this.#sent = new Set();
  }

  /** Commits rows, and for each pack that everything in front of their ends is known. */
  insert(rows: readonly IndexRow[], ends = new Map<number, number>()): Promise<null> {
    for (const row of rows)
      if (row.pack !== 0) ends.set(row.pack, Math.max(ends.get(row.pack) ?? 0, row.offset + row.stored));
    return this.#writer.call('insert', { rows, ends: [...ends] }, 'volatile');
  }

  aged(after: Uint8Array, before: number, limit: number): Promise<{ refs: Uint8Array[]; last: Uint8Array | null }> {
    return this.#writer.call('aged', { after, before, limit }, 'scan');
  }
  dying(after: Uint8Array, limit: number): Promise<Uint8Array[]> {
    return this.#writer.call('dying', { after, limit }, 'scan');
  }
  mark(refs: readonly Uint8Array[], before: number): Promise<null> {
    return this.#writer.call('mark', { refs, before }, 'volatile');
  }
  revive(refs: readonly Uint8Array[]): Promise<null> {
    return this.#writer.call('revive', { refs }, 'volatile');
  }
  /** Deletes those of the rows that are still dying. Durable: files may be deleted afterwards. */
  bury(refs: readonly Uint8Array[]): Promise<{ ref: Uint8Array; pack: number; stored: number }[]> {
    return this.#writer.call('bury', { refs }, 'durable');
  }
  /** Repoints rows that still name the old place. Durable: the old place may be deleted afterwards. */
  move(moves: readonly Move[]): Promise<null> {
    return this.#writer.call('move', { moves }, 'durable');
  }
  drop(rows: readonly { ref: Uint8Array; pack: number; offset: number }[]): Promise<null> {
    return this.#writer.call('drop', { rows }, 'durable');
  }
  dropPack(pack: number): Promise<boolean> {
    return this.#writer.call('dropPack', { pack }, 'durable');
  }
  packs(): Promise<PackRow[]> {
    return this.#writer.call('packs', null, 'scan');
  }
  rowsOf(pack: number): Promise<IndexRow[]> {
    return this.#writer.call('rowsOf', { pack }, 'scan');
  }
  recount(): Promise<null> {
    return this.#writer.call('recount', null, 'volatile');
  }
  integrity(): Promise<Damage[]> {
    return this.#writer.integrity();
  }

  remember(key: 'clean' | 'cursor', value: number | Uint8Array): Promise<null> {
    return this.#writer.call('remember', { key, value }, 'durable');
  }
  recall(key: 'clean' | 'cursor'): number | Uint8Array | undefined {
    const row = this.#writer.reader.prepare('SELECT value FROM meta WHERE key = ?').get(key);
    return row?.value as number | Uint8Array | undefined;
  }
}
