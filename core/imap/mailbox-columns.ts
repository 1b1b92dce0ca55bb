/**
 * One mailbox as it is now, shared by all sessions of the process that have it selected. `refresh` brings it up to date
 * from the store's history and changes it in one step, so that readers always see a picture of one moment; those who
 * watch it are told which messages have gone, because their clients still count them.
 */

import type { AccountId, MailboxId, ModSeq } from '../mail/ids.ts';
import type { Columns, MailStoreReader, Row } from '../ports/mail-store.ts';
import { FlagTable } from './flag-table.ts';
import { PackedRows, type Rows } from './packed-rows.ts';

export interface ColumnsWatcher {
  /** Messages that were there and are not any more, uid ascending. The same object is given to all watchers. */
  gone(rows: Rows): void;
}

/** Entries asked for at once, and in all before reading everything anew is cheaper. */
const CHANGES_AT_ONCE = 5_000;
const CHANGES_MAX = 20_000;
/** More flag sets than this are looked through for ones that no message has any more. */
const FLAG_SETS_MAX = 4_096;

export class MailboxColumns {
  readonly account: AccountId;
  readonly mailbox: MailboxId;
  readonly rows: PackedRows;
  /** Highest modSeq of any change seen in it: HIGHESTMODSEQ (RFC 7162 §3.1.2.1). */
  modSeq: number;
  /** Highest modSeq at which flags of a message that was there before have changed. */
  flagsModSeq = 0;
  /** Messages from this uid on have not been shown as \Recent to any session, as far as is known here. */
  recentUid: number;
  readonly #store: MailStoreReader;
  #upTo: ModSeq;
  readonly #watchers = new Set<ColumnsWatcher>();
  #running: Promise<void> | null = null;
  #next: Promise<void> | null = null;

  constructor(store: MailStoreReader, account: AccountId, columns: Columns) {
    this.#store = store;
    this.account = account;
    this.mailbox = columns.mailbox.id;
    this.rows = new PackedRows(new FlagTable());
    this.modSeq = columns.mailbox.modSeq;
    this.recentUid = columns.mailbox.recentUid;
    this.#upTo = columns.upTo;
    this.#fill(columns);
  }

  /** Bytes held, about. */
  get sizeBytes(): number {
    return this.rows.uids.length * 36 + this.rows.table.size * 500 + 1_000;
  }

  watch(watcher: ColumnsWatcher): void {
    this.#watchers.add(watcher);
  }

  unwatch(watcher: ColumnsWatcher): void {
    this.#watchers.delete(watcher);
  }

  /** Resolves when everything that was committed before the call is in the columns. */
  refresh(): Promise<void> {
    if (this.#running === null) {
      const running = this.#update();
      const settled = (): void => {
        this.#running = null;
      };
      this.#running = running;
      running.then(settled, settled);
      return running;
    }
    // One that has begun may have read before the commit that the caller wants to see.
    const again = (): Promise<void> => {
      this.#next = null;
      return this.refresh();
    };
    this.#next ??= this.#running.then(again, again);
    return this.#next;
  }

  async #update(): Promise<void> {
    const changed = new Map<number, Row>();
    const vanished = new Set<number>();
    let { modSeq } = this;
    let upTo = this.#upTo;
    // Nothing is shown before all is read: an answer that was cut may lack messages with lower uids than it has.
    for (;;) {
      const changes = await this.#store.changes(this.account, this.mailbox, upTo, CHANGES_AT_ONCE);
      const entries = changes.changed.length + changes.vanished.length;
      if (changes.tooOld || changed.size + vanished.size + entries > CHANGES_MAX) return await this.#reload();
      upTo = changes.upTo;
      for (const row of changes.changed) {
        changed.set(row.uid, row);
        if (row.modSeq > modSeq) modSeq = row.modSeq;
      }
      for (const one of changes.vanished) {
        vanished.add(one.uid);
        changed.delete(one.uid);
        if (one.modSeq > modSeq) modSeq = one.modSeq;
      }
      // What was committed meanwhile has its own hint: where mail streams in, asking until there is none has no end.
      if (!changes.more) break;
    }
    this.#upTo = upTo;
    this.modSeq = modSeq;
    if (vanished.size > 0) this.#take(this.#rowsOf(vanished));
    if (changed.size > 0) this.#put([...changed.values()].sort((a, b) => a.uid - b.uid));
  }

  #rowsOf(uids: ReadonlySet<number>): number[] {
    const rows: number[] = [];
    for (const uid of uids) {
      const row = this.rows.find(uid);
      if (row >= 0) rows.push(row);
    }
    return rows.sort((a, b) => a - b);
  }

  /** @param gone row numbers, ascending */
  #take(gone: readonly number[]): void {
    if (gone.length === 0) return;
    if (this.#watchers.size > 0) {
      const taken = new PackedRows(this.rows.table, gone.length);
      for (const row of gone) taken.pushFrom(this.rows, row);
      for (const watcher of this.#watchers) watcher.gone(taken);
    }
    this.rows.remove(gone);
  }

  /** @param changed uid ascending */
  #put(changed: readonly Row[]): void {
    const { rows } = this;
    for (const one of changed) {
      const flags = rows.table.number(one.flags);
      const row = one.uid > rows.lastUid ? -1 : rows.find(one.uid);
      if (row >= 0) {
        rows.flags[row] = flags;
        rows.modSeqs[row] = one.modSeq;
        if (one.modSeq > this.flagsModSeq) this.flagsModSeq = one.modSeq;
      } else {
        const { uid, modSeq, internalDate: date, size, content } = one;
        rows.push({ uid, flags, modSeq, date, size, content });
      }
    }
    if (rows.table.size > FLAG_SETS_MAX) this.#renewTable();
  }

  /** Reads everything anew. A mailbox that is no more is one that has lost all of its messages. */
  async #reload(): Promise<void> {
    const columns = await this.#store.columns(this.account, this.mailbox);
    if (columns !== undefined && columns.upTo < this.#upTo) return;
    const stay = columns?.uids ?? new Uint32Array(0);
    const gone: number[] = [];
    for (let row = 0, at = 0; row < this.rows.length; row++) {
      const uid = this.rows.uids[row]!;
      while (at < stay.length && stay[at]! < uid) at++;
      if (stay[at] !== uid) gone.push(row);
    }
    this.#take(gone);
    if (columns === undefined) return;
    this.#upTo = columns.upTo;
    this.modSeq = Math.max(this.modSeq, columns.mailbox.modSeq);
    this.flagsModSeq = this.modSeq;
    this.#fill(columns);
  }

  #fill(columns: Columns): void {
    const { rows } = this;
    const table = new FlagTable();
    const numbers = columns.flagSets.map((names) => table.number(names));
    rows.table = table;
    rows.length = columns.uids.length;
    rows.uids = columns.uids;
    rows.flags = columns.flags.map((index) => numbers[index]!);
    rows.modSeqs = columns.modSeqs;
    rows.dates = columns.dates;
    rows.sizes = columns.sizes;
    rows.contents = columns.contents;
  }

  /** Gives the rows a table of only those sets that they have, when that is much smaller. */
  #renewTable(): void {
    const { rows } = this;
    const used = new Set<number>();
    for (let row = 0; row < rows.length; row++) used.add(rows.flags[row]!);
    if (used.size * 2 > rows.table.size) return;
    const table = new FlagTable();
    const numbers = new Map([...used].map((number) => [number, table.number(rows.table.get(number).names)]));
    for (let row = 0; row < rows.length; row++) rows.flags[row] = numbers.get(rows.flags[row]!)!;
    rows.table = table;
  }
}
