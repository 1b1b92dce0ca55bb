/**
 * What one client has been told of its selected mailbox: sequence numbers, flags up to a modSeq, keywords, \Recent. The
 * columns it looks at are shared and always up to date; the view only remembers how far the client is behind, and `poll`
 * writes the untagged responses that close the gap. EXPUNGE is written only there and only with permission
 * (RFC 9051 §7.5.1), so within any other command sequence numbers stand still.
 */

import type { CommitResult, Mailbox, Op } from '../ports/mail-store.ts';
import type { ColumnsCache } from './columns-cache.ts';
import type { Enabled } from './enabled.ts';
import { COLUMN_ITEMS, type ColumnItem, writeRows } from './fetch-columns.ts';
import type { FlagTable } from './flag-table.ts';
import type { ColumnsWatcher, MailboxColumns } from './mailbox-columns.ts';
import { type SeqRange, seqRanges, uidRanges } from './message-set.ts';
import { lowerBound, type Rows } from './packed-rows.ts';
import { RecentUids } from './recent-uids.ts';
import { SeqMap } from './seq-map.ts';
import { formatSequenceSet, type SequenceSet } from './sequence-set.ts';
import { writeFlagLists } from './untagged-flags.ts';
import type { ImapWriter } from './writer.ts';

/** The session as far as a view needs it. */
export interface ViewHost {
  readonly out: ImapWriter;
  readonly enabled: Readonly<Enabled>;
  readonly input: { flush(): Promise<void> };
  commit(ops: readonly Op[]): Promise<CommitResult>;
}

export class MailboxView implements ColumnsWatcher {
  /** As it was when it was selected. */
  readonly mailbox: Mailbox;
  readonly columns: MailboxColumns;
  /** EXAMINE: nothing may be changed through this session. */
  readonly readOnly: boolean;
  readonly map: SeqMap;
  readonly recent = new RecentUids();
  readonly #host: ViewHost;
  readonly #cache: ColumnsCache;
  /** Flag changes up to this modSeq have been told … */
  #toldModSeq: number;
  #settledModSeq: number;
  /** … and of these messages what these commits, the session's own, left behind: uids ascending, by modSeq. */
  readonly #own = new Map<number, Uint32Array>();
  /** EXISTS or VANISHED were written, which carry no modSeq that the client could count up to. */
  #newsWithoutModSeq = false;
  #toldTable: FlagTable;
  #toldKeywords = 0;
  #closed = false;

  /** Takes over columns that were acquired from the cache; `close` gives them back. */
  constructor(
    host: ViewHost,
    cache: ColumnsCache,
    columns: MailboxColumns,
    options: { readonly readOnly: boolean; readonly mailbox: Mailbox },
  ) {
    this.#host = host;
    this.#cache = cache;
    this.columns = columns;
    this.readOnly = options.readOnly;
    this.mailbox = options.mailbox;
    this.map = new SeqMap(columns.rows);
    this.map.tell(columns.rows.lastUid);
    this.#toldModSeq = columns.modSeq;
    this.#settledModSeq = columns.modSeq;
    this.#toldTable = columns.rows.table;
    columns.watch(this);
    if (this.readOnly) this.recent.add(columns.recentUid, Number.POSITIVE_INFINITY);
  }

  /** Messages that the client knows. */
  get count(): number {
    return this.map.count;
  }

  /** HIGHESTMODSEQ for this client: nothing up to it is still to be told, expunges included. */
  get highestModSeq(): number {
    return this.#settledModSeq;
  }

  /** The messages that a command names, as ranges of sequence numbers. */
  resolve(set: SequenceSet, byUid: boolean): readonly SeqRange[] {
    return byUid ? uidRanges(set, this.map) : seqRanges(set, this.map);
  }

  /** Uids of messages that are not known to be expunged, ascending. */
  liveUids(ranges: readonly SeqRange[]): Uint32Array {
    let length = 0;
    const pieces: Uint32Array[] = [];
    for (const { from, to } of ranges) {
      for (const run of this.map.runs(from, to)) {
        if (run.rows !== this.columns.rows) continue;
        pieces.push(run.rows.uids.subarray(run.row, run.row + run.length));
        length += run.length;
      }
    }
    const uids = new Uint32Array(length);
    let at = 0;
    for (const piece of pieces) {
      uids.set(piece, at);
      at += piece.length;
    }
    return uids;
  }

  /** The client has been told the flags that these messages have at `modSeq`. */
  own(modSeq: number, uids: Uint32Array): void {
    this.#own.set(modSeq, uids.sort());
  }

  /** Whether another's change to a row has still to be told. */
  isPending(rows: Rows, row: number): boolean {
    const modSeq = rows.modSeqs[row]!;
    if (modSeq <= this.#toldModSeq) return false;
    const own = this.#own.get(modSeq);
    if (own === undefined) return true;
    const uid = rows.uids[row]!;
    return own[lowerBound(own, own.length, uid)] !== uid;
  }

  gone(rows: Rows): void {
    this.map.gone(rows);
  }

  /** Makes the newest messages \Recent for this session, and for no other (RFC 3501 §2.3.2). */
  async claimRecent(): Promise<void> {
    const { columns } = this;
    const end = columns.rows.lastUid + 1;
    if (this.readOnly || columns.recentUid >= end) return;
    columns.recentUid = end;
    const { results } = await this.#host.commit([{ t: 'claimRecent', mailbox: this.mailbox.id }]);
    const result = results[0];
    if (result?.ok === true && result.t === 'claimRecent') this.recent.add(result.recentUid, end);
  }

  /** Catches up with the mailbox. Writes nothing: sequence numbers stay. */
  async look(): Promise<void> {
    try {
      await this.columns.refresh();
    } catch (thrown) {
      // What the client sees next may be older than what it was told of its own changes: then all is told again.
      this.#own.clear();
      throw thrown;
    }
  }

  /** Writes what is new for the client; with `look`, catches up before. */
  async poll({ expunge, look = true }: { readonly expunge: boolean; readonly look?: boolean }): Promise<void> {
    if (this.#closed) return;
    if (look) await this.look();
    if (this.columns.rows.lastUid > this.map.toldUid) await this.claimRecent();
    if (this.#closed) return;
    if (expunge) this.#writeExpunged();
    this.writeFlagLists(false);
    await this.#writeChangedFlags();
    this.#writeNew();
    if (this.map.ghosts === null) this.#settledModSeq = this.#toldModSeq;
  }

  /** The response code that tells the client how far it is up to date. */
  highestModSeqCode(): string {
    this.#newsWithoutModSeq = false;
    return `HIGHESTMODSEQ ${this.highestModSeq}`;
  }

  /**
   * Tells a client with QRESYNC how far it is up to date, where it would count wrongly from the MODSEQs it has seen: too far
   * while an expunge is held back, which it would lose with the connection (RFC 7162 §3.2), and not far enough where what it
   * was told has no MODSEQ (§6). Belongs right before the tagged response, at which the client counts.
   */
  writeHighestModSeq(): void {
    if (this.#closed || !this.#host.enabled.qresync) return;
    if (this.map.ghosts === null && !this.#newsWithoutModSeq) return;
    this.#host.out.untagged(`OK [${this.highestModSeqCode()}] Highest`);
  }

  /** FLAGS and PERMANENTFLAGS, when there are keywords that the client has not seen (or `always`). */
  writeFlagLists(always: boolean): void {
    const { table } = this.columns.rows;
    if (!always && table === this.#toldTable && table.keywords.length === this.#toldKeywords) return;
    this.#toldTable = table;
    this.#toldKeywords = table.keywords.length;
    writeFlagLists(this.#host.out, table.keywords, this.readOnly);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.columns.unwatch(this);
    this.#cache.release(this.columns);
  }

  #writeExpunged(): void {
    const buried = this.map.bury();
    if (buried === null) return;
    this.#newsWithoutModSeq = true;
    const { out, enabled } = this.#host;
    const { rows, seqs } = buried;
    if (enabled.qresync) {
      // RFC 7162 §3.2.10
      out
        .ascii('* VANISHED ')
        .ascii(formatSequenceSet(rows.uids.subarray(0, rows.length)))
        .crlf();
      return;
    }
    // From the last to the first, so that no number is changed by the one before it.
    for (let i = seqs.length - 1; i >= 0; i--) out.ascii('* ').number(seqs[i]!).ascii(' EXPUNGE\r\n');
  }

  async #writeChangedFlags(): Promise<void> {
    const { columns, map } = this;
    const target = columns.modSeq;
    if (columns.flagsModSeq > this.#toldModSeq) {
      const items = this.changeItems();
      for (let seq = 1; seq <= map.count; ) {
        seq = this.#writePending(seq, items);
        if (this.#host.out.needsFlush) await this.#host.input.flush();
        if (this.#closed) return;
      }
    }
    this.#toldModSeq = target;
    for (const modSeq of this.#own.keys()) if (modSeq <= target) this.#own.delete(modSeq);
  }

  /** What unsolicited FETCH responses hold (RFC 7162 §3.2.4). */
  changeItems(): readonly ColumnItem[] {
    const { flags, uid, modSeq } = COLUMN_ITEMS;
    return this.#host.enabled.condstore ? [uid, flags, modSeq] : [flags];
  }

  /** From `first` on until the buffer is full or nothing is left; where to go on. */
  #writePending(first: number, items: readonly ColumnItem[]): number {
    const { map, columns, recent } = this;
    const { out } = this.#host;
    for (const run of map.runs(first, map.count)) {
      if (run.rows !== columns.rows) continue;
      for (let i = 0; i < run.length; i++) {
        if (!this.isPending(run.rows, run.row + i)) continue;
        const seq = run.seq + i;
        writeRows(out, { rows: run.rows, row: run.row + i, length: 1, seq }, items, recent);
        if (out.needsFlush) return seq + 1;
      }
    }
    return map.count + 1;
  }

  #writeNew(): void {
    const { lastUid } = this.columns.rows;
    if (lastUid <= this.map.toldUid) return;
    this.map.tell(lastUid);
    this.#newsWithoutModSeq = true;
    const { out } = this.#host;
    out.ascii('* ').number(this.map.count).ascii(' EXISTS\r\n');
    out.ascii('* ').number(this.recent.count(this.map)).ascii(' RECENT\r\n');
  }
}
