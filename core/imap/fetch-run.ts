/**
 * Carries out FETCH: straight from the columns where those have everything, else in batches whose contents are loaded
 * together and whose bodies are read ahead. Sequence numbers stand still while it runs, rows do not: they are looked up
 * anew after every await. A message that others expunged is still given as long as its content is there (RFC 2180 §4.1.1);
 * when it is not, the message is left out and the answer is NO [EXPUNGEISSUED].
 */

import { asMailError, ClientError, TemporaryError } from '../mail/errors.ts';
import { flagSet } from '../mail/flags.ts';
import { type ContentId, contentId } from '../mail/ids.ts';
import type { Completion } from './command.ts';
import type { FetchArgs, FetchItem, SectionItem } from './fetch-attributes.ts';
import { beginRow, COLUMN_ITEMS, type ColumnItem, writeRows } from './fetch-columns.ts';
import { ContentLoader, type LoadedContents } from './fetch-content.ts';
import { type PreparedMessage, SectionReader } from './fetch-sections.ts';
import type { MailboxView } from './mailbox-view.ts';
import type { SeqRange } from './message-set.ts';
import { Pace } from './pace.ts';
import type { Run } from './seq-map.ts';
import type { ImapSession } from './session.ts';

const BATCH_OF_CONTENTS = 512;
const BATCH_OF_BODIES = 64;
/** Bodies of a batch that are held before they are written. */
const AHEAD_BYTES_MAX = 1024 * 1024;
const AHEAD_MAX = 16;
const SEEN = flagSet(['\\Seen']);

/** A message of a batch: what stays true of it over an await. */
interface Member {
  readonly seq: number;
  readonly content: ContentId;
}

/** RFC 7162 §3.1: asking for MODSEQ, or for what has changed since one. */
export const enablesCondstore = (args: FetchArgs): boolean =>
  args.changedSince !== null || args.items.some((item) => item.t === 'column' && item.item === COLUMN_ITEMS.modSeq);

export async function runFetch(
  session: ImapSession,
  args: FetchArgs,
  ranges: readonly SeqRange[],
): Promise<Completion> {
  const fetch = new FetchRun(session, args);
  await fetch.run(ranges);
  if (fetch.damaged) throw new TemporaryError('storeUnavailable');
  if (fetch.missing) throw new ClientError('expungeIssued');
  return {};
}

class FetchRun {
  /** Some content was gone, or could not be read. */
  missing = false;
  damaged = false;
  readonly #session: ImapSession;
  readonly #view: MailboxView;
  readonly #columns: readonly ColumnItem[];
  /** The columns of a message that this command made \Seen. */
  readonly #seenColumns: readonly ColumnItem[];
  readonly #others: readonly Exclude<FetchItem, { t: 'column' }>[];
  readonly #changedSince: number;
  readonly #setsSeen: boolean;
  readonly #loader: ContentLoader;
  readonly #reader: SectionReader | null;
  readonly #pace: Pace;

  constructor(session: ImapSession, args: FetchArgs) {
    this.#session = session;
    this.#view = session.view;
    this.#pace = new Pace(session);
    const columns: ColumnItem[] = [];
    const others: Exclude<FetchItem, { t: 'column' }>[] = [];
    for (const item of args.items) {
      if (item.t === 'column') columns.push(item.item);
      else others.push(item);
    }
    // RFC 7162 §3.1.4.1
    if (args.changedSince !== null && !columns.includes(COLUMN_ITEMS.modSeq)) columns.push(COLUMN_ITEMS.modSeq);
    this.#columns = columns;
    this.#others = others;
    this.#changedSince = args.changedSince ?? -1;
    const sections = others.filter((item): item is SectionItem => item.t === 'section');
    this.#setsSeen = !this.#view.readOnly && sections.some((item) => !item.peek);
    // RFC 3501 §6.4.5 and RFC 7162 §3.2.4
    this.#seenColumns = [...new Set([...columns, ...this.#view.changeItems()])];
    const has = (t: FetchItem['t']): boolean => others.some((item) => item.t === t);
    this.#loader = new ContentLoader(session.env.store, session.account, session.env.columns, {
      envelope: has('envelope'),
      bodystructure: has('bodystructure'),
      body: has('body'),
      sections: SectionReader.needs(sections),
    });
    this.#reader = sections.length > 0 ? new SectionReader(session.env.blobs, sections) : null;
  }

  async run(ranges: readonly SeqRange[]): Promise<void> {
    const { out, input } = this.#session;
    for (const { from, to } of ranges) {
      for (let seq = from; seq <= to; ) {
        seq = this.#others.length === 0 ? this.#writeColumns(seq, to) : await this.#writeBatch(seq, to);
        if (out.needsFlush) await input.flush();
        await this.#pace.step();
      }
    }
  }

  /** From `first` on until the buffer is worth sending; where to go on. */
  #writeColumns(first: number, to: number): number {
    const { out } = this.#session;
    const { map, recent } = this.#view;
    for (const run of map.runs(first, to)) {
      if (this.#changedSince < 0) {
        const next = run.seq + writeRows(out, run, this.#columns, recent);
        if (out.needsFlush) return next;
        continue;
      }
      for (let i = 0; i < run.length; i++) {
        if (run.rows.modSeqs[run.row + i]! <= this.#changedSince) continue;
        const one: Run = { rows: run.rows, row: run.row + i, length: 1, seq: run.seq + i };
        writeRows(out, one, this.#columns, recent);
        if (out.needsFlush) return one.seq + 1;
      }
    }
    return to + 1;
  }

  async #writeBatch(first: number, to: number): Promise<number> {
    const { members, next } = this.#gather(first, to);
    if (members.length === 0) return next;
    const contents = await this.#loader.load(members.map((member) => member.content));
    const seen = this.#setsSeen ? await this.#setSeen(members) : null;
    if (this.#reader === null) {
      for (let i = 0; i < members.length; i++) if (this.#begin(members[i]!.seq, i, contents, seen)) this.#end();
    } else await this.#writeBodies(members, contents, seen, this.#reader);
    return next;
  }

  #gather(first: number, to: number): { readonly members: readonly Member[]; readonly next: number } {
    const most = this.#reader === null ? BATCH_OF_CONTENTS : BATCH_OF_BODIES;
    const members: Member[] = [];
    for (const { rows, row, length, seq } of this.#view.map.runs(first, to)) {
      for (let i = 0; i < length; i++) {
        if (rows.modSeqs[row + i]! <= this.#changedSince) continue;
        members.push({ seq: seq + i, content: contentId(rows.contents[row + i]!) });
        if (members.length === most) return { members, next: seq + i + 1 };
      }
    }
    return { members, next: to + 1 };
  }

  /** Sets \Seen on those that lack it, in one commit. @returns their sequence numbers */
  async #setSeen(members: readonly Member[]): Promise<ReadonlySet<number>> {
    const view = this.#view;
    const { rows } = view.columns;
    const unseen = new Map<number, number>();
    for (const { seq } of members) {
      for (const run of view.map.runs(seq, seq)) {
        if (run.rows === rows && !rows.table.get(rows.flags[run.row]!).seen) unseen.set(rows.uids[run.row]!, seq);
      }
    }
    if (unseen.size === 0) return new Set();
    const { modSeq, results } = await this.#session.commit([
      { t: 'store', mailbox: view.mailbox.id, uids: Uint32Array.from(unseen.keys()), mode: 'add', flags: SEEN },
    ]);
    await view.columns.refresh();
    const result = results[0];
    if (result?.ok !== true || result.t !== 'store') return new Set();
    view.own(
      modSeq,
      Uint32Array.from(result.stored, ({ uid }) => uid),
    );
    return new Set(result.stored.map(({ uid }) => unseen.get(uid)!));
  }

  /** Writes the response's beginning up to the bodies. False where the content is gone. */
  #begin(seq: number, index: number, contents: LoadedContents, seen: ReadonlySet<number> | null): boolean {
    const { out } = this.#session;
    const columns = seen?.has(seq) === true ? this.#seenColumns : this.#columns;
    const others: Uint8Array[] = [];
    for (const item of this.#others) {
      if (item.t === 'section') continue;
      const bytes = contents[item.t][index];
      if (bytes === undefined) {
        this.missing = true;
        return false;
      }
      others.push(NAMES[item.t], bytes);
    }
    for (const run of this.#view.map.runs(seq, seq)) beginRow(out, run, columns, this.#view.recent);
    let separate = columns.length > 0;
    for (let i = 0; i < others.length; i += 2) {
      if (separate) out.ascii(' ');
      separate = true;
      out.bytes(others[i]!).bytes(others[i + 1]!);
    }
    if (separate && this.#reader !== null) out.ascii(' ');
    return true;
  }

  #end(): void {
    this.#session.out.ascii(')\r\n');
  }

  async #writeBodies(
    members: readonly Member[],
    contents: LoadedContents,
    seen: ReadonlySet<number> | null,
    reader: SectionReader,
  ): Promise<void> {
    const { out, input } = this.#session;
    const ahead: (PreparedMessage | null)[] = [];
    let held = 0;
    for (let i = 0; i < members.length; i++) {
      while (
        ahead.length < members.length &&
        ahead.length - i < AHEAD_MAX &&
        (ahead.length <= i || held < AHEAD_BYTES_MAX)
      ) {
        const content = contents.sections[ahead.length];
        const prepared = content === undefined ? null : reader.prepare(content);
        held += prepared?.sizeBytes ?? 0;
        ahead.push(prepared);
      }
      const prepared = ahead[i];
      ahead[i] = null;
      if (prepared == null) {
        this.missing = true;
        continue;
      }
      const sections = await this.#sections(prepared);
      held -= prepared.sizeBytes;
      if (sections === null || !this.#begin(members[i]!.seq, i, contents, seen)) continue;
      for (let index = 0; index < sections.length; index++) {
        if (index > 0) out.ascii(' ');
        await reader.write(out, input, index, sections[index]!);
      }
      this.#end();
      if (out.needsFlush) await input.flush();
      await this.#pace.step();
    }
  }

  /** null where they can't be read: that is logged, and the other messages are still served. */
  async #sections(prepared: PreparedMessage): Promise<Awaited<PreparedMessage['sections']> | null> {
    try {
      return await prepared.sections;
    } catch (thrown) {
      const error = asMailError(thrown);
      this.#session.log('imap.unreadable', { ...error.facts, error: error.message });
      this.damaged = true;
      return null;
    }
  }
}

const NAMES: Readonly<Record<'envelope' | 'bodystructure' | 'body', Uint8Array>> = {
  envelope: Buffer.from('ENVELOPE '),
  bodystructure: Buffer.from('BODYSTRUCTURE '),
  body: Buffer.from('BODY '),
};
