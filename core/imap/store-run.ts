/**
 * Carries out STORE: one commit, then a FETCH for each message that the client must hear of. With .SILENT that is only
 * who has other flags than the client must think, because somebody else changed them; with CONDSTORE it is everyone, for
 * the new modSeq (RFC 7162 §3.1.3). Expunged messages are skipped and, where they were named by number, answered with NO.
 */

import { ClientError } from '../mail/errors.ts';
import { applyFlags, type FlagSet, sameFlags } from '../mail/flags.ts';
import { modSeq } from '../mail/ids.ts';
import type { OpResult } from '../ports/mail-store.ts';
import type { Completion } from './command.ts';
import type { FlagEntry, FlagTable } from './flag-table.ts';
import { countMessages, type SeqRange } from './message-set.ts';
import { formatSequenceSet } from './sequence-set.ts';
import type { ImapSession } from './session.ts';
import type { StoreArgs } from './store-args.ts';

const KEYWORDS_MAX = 100;
const KEYWORD_LENGTH_MAX = 255;

type Stored = Extract<OpResult, { t: 'store' }>;

export async function runStore(session: ImapSession, args: StoreArgs, byUid: boolean): Promise<Completion> {
  const { view } = session;
  if (view.readOnly) throw new ClientError('readOnly');
  if (args.flags.length > KEYWORDS_MAX || args.flags.some((name) => name.length > KEYWORD_LENGTH_MAX)) {
    throw new ClientError('limitReached', { flags: args.flags.length });
  }
  const ranges = view.resolve(args.set, byUid);
  if (args.unchangedSince !== null) session.enableCondstore();
  const uids = view.liveUids(ranges);
  const before = args.silent ? new FlagsBefore(session, ranges, args) : null;
  const gone = !byUid && uids.length < countMessages(ranges);
  let modified: Uint32Array | null = null;
  if (uids.length > 0) {
    const { mode, flags, unchangedSince } = args;
    const condition = unchangedSince === null ? {} : { unchangedSince: modSeq(unchangedSince) };
    const commit = await session.commit([{ t: 'store', mailbox: view.mailbox.id, uids, mode, flags, ...condition }]);
    const result = commit.results[0]!;
    if (!result.ok) throw new ClientError('mailboxUnknown', { why: result.why });
    const stored = result as Stored;
    await writeStored(session, stored, byUid, before);
    view.own(
      commit.modSeq,
      Uint32Array.from(stored.stored, ({ uid }) => uid),
    );
    if (stored.modified.length > 0) modified = await tellModified(session, stored.modified, byUid);
  }
  if (modified !== null) return { code: `MODIFIED ${formatSequenceSet(modified)}`, text: 'Conditional STORE failed' };
  if (gone) {
    // No poll follows a NO, and the next FETCH must not show what was before.
    await view.columns.refresh();
    // RFC 2180 §4.2.1
    throw new ClientError('expungeIssued');
  }
  return {};
}

async function writeStored(
  session: ImapSession,
  stored: Stored,
  byUid: boolean,
  before: FlagsBefore | null,
): Promise<void> {
  const { view, out, input, enabled } = session;
  const entries = new Map<FlagSet, FlagEntry>();
  for (const { uid, flags, modSeq: stamp } of stored.stored) {
    const showFlags = before === null || before.differs(uid, flags);
    if (!showFlags && !enabled.condstore) continue;
    const seq = view.map.seqOf(uid);
    if (seq === 0) continue;
    let entry = entries.get(flags);
    if (entry === undefined) {
      const { table } = view.columns.rows;
      entry = table.get(table.number(flags));
      entries.set(flags, entry);
      view.writeFlagLists(false);
    }
    out.ascii('* ').number(seq).ascii(' FETCH (');
    if (byUid || enabled.condstore)
      out
        .ascii('UID ')
        .number(uid)
        .ascii(enabled.condstore || showFlags ? ' ' : '');
    if (showFlags) out.bytes(view.recent.has(uid) ? entry.recentBytes : entry.bytes);
    if (enabled.condstore)
      out
        .ascii(showFlags ? ' MODSEQ (' : 'MODSEQ (')
        .number(stamp)
        .ascii(')');
    out.ascii(')\r\n');
    if (out.needsFlush) await input.flush();
  }
}

/**
 * RFC 7162 §3.1.3: shows what the messages that failed the test have become, but for what the poll behind the command
 * shows anyway. @returns the set that MODIFIED names
 */
async function tellModified(session: ImapSession, uids: Uint32Array, byUid: boolean): Promise<Uint32Array> {
  const { view, out, input } = session;
  await view.columns.refresh();
  const seqs: number[] = [];
  for (const uid of uids) {
    const seq = view.map.seqOf(uid);
    if (seq === 0) continue;
    seqs.push(seq);
    const { rows } = view.columns;
    const row = rows.find(uid);
    if (row < 0 || view.isPending(rows, row)) continue;
    out.ascii('* ').number(seq).ascii(' FETCH (UID ').number(uid).ascii(' ');
    const entry = rows.table.get(rows.flags[row]!);
    out.bytes(view.recent.has(uid) ? entry.recentBytes : entry.bytes);
    out.ascii(' MODSEQ (').number(rows.modSeqs[row]!).ascii('))\r\n');
    if (out.needsFlush) await input.flush();
  }
  return byUid ? uids : Uint32Array.from(seqs);
}

/** What the client thinks of the messages before a silent STORE: from this follows what it will think behind it. */
class FlagsBefore {
  readonly #args: StoreArgs;
  /** Each message's number in the table, by uid; −1 where the client was behind. */
  readonly #numbers = new Map<number, number>();
  readonly #expected = new Map<number, FlagSet>();
  readonly #table: FlagTable;

  constructor({ view }: ImapSession, ranges: readonly SeqRange[], args: StoreArgs) {
    this.#args = args;
    const { rows } = view.columns;
    this.#table = rows.table;
    for (const { from, to } of ranges) {
      for (const run of view.map.runs(from, to)) {
        if (run.rows !== rows) continue;
        for (let row = run.row; row < run.row + run.length; row++) {
          this.#numbers.set(rows.uids[row]!, view.isPending(rows, row) ? -1 : rows.flags[row]!);
        }
      }
    }
  }

  /** Whether the client will be wrong about the message's flags unless it is told. */
  differs(uid: number, flags: FlagSet): boolean {
    const number = this.#numbers.get(uid) ?? -1;
    if (number < 0) return true;
    let expected = this.#expected.get(number);
    if (expected === undefined) {
      expected = applyFlags(this.#table.get(number).names, this.#args.mode, this.#args.flags);
      this.#expected.set(number, expected);
    }
    return !sameFlags(expected, flags);
  }
}
