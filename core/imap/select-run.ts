/**
 * SELECT and EXAMINE: opens a view of a mailbox and describes it. What is told is one picture of the columns, so the
 * HIGHESTMODSEQ never covers a change that the client has not been told.
 */

import { ClientError } from '../mail/errors.ts';
import { BadSyntax } from './bad-syntax.ts';
import type { Completion } from './command.ts';
import { COLUMN_ITEMS } from './fetch-columns.ts';
import { runFetch } from './fetch-run.ts';
import { findMailbox } from './find-mailbox.ts';
import { MailboxView } from './mailbox-view.ts';
import { plainRanges } from './message-set.ts';
import type { Resync, SelectArgs } from './select-args.ts';
import type { SeqMap } from './seq-map.ts';
import type { SequenceSet } from './sequence-set.ts';
import type { ImapSession } from './session.ts';
import { writeVanishedEarlier } from './vanished.ts';

export async function runSelect(session: ImapSession, args: SelectArgs, readOnly: boolean): Promise<Completion> {
  const { out, env } = session;
  // RFC 7162 §3.2.5
  if (args.resync !== null && !session.enabled.qresync) throw new BadSyntax('QRESYNC needs ENABLE QRESYNC');
  if (session.selected !== null) {
    // RFC 7162 §3.2.11; RFC 9051 §6.3.2: nothing is selected when this fails.
    out.untagged('OK [CLOSED] Previous mailbox is closed');
    session.select(null);
  }
  if (args.condstore) session.enableCondstore();
  const mailbox = await findMailbox(session, args.name);
  const columns = await env.columns.acquire(session.account, mailbox.id);
  if (columns === undefined) throw new ClientError('mailboxUnknown');
  columns.recentUid = Math.max(columns.recentUid, mailbox.recentUid);
  const view = new MailboxView(session, env.columns, columns, { mailbox, readOnly });
  session.select(view);
  await view.claimRecent();
  describe(session, view);
  if (args.resync !== null && args.resync.uidValidity === mailbox.uidValidity) await resync(session, view, args.resync);
  return { code: readOnly ? 'READ-ONLY' : 'READ-WRITE' };
}

function describe({ out }: ImapSession, view: MailboxView): void {
  const { mailbox, map } = view;
  view.writeFlagLists(true);
  out.ascii('* ').number(map.count).ascii(' EXISTS\r\n');
  out.ascii('* ').number(view.recent.count(map)).ascii(' RECENT\r\n');
  const unseen = firstUnseen(map);
  if (unseen > 0) out.untagged(`OK [UNSEEN ${unseen}] First unseen`);
  out.untagged(`OK [UIDVALIDITY ${mailbox.uidValidity}] UIDs valid`);
  out.untagged(`OK [UIDNEXT ${Math.max(mailbox.uidNext, map.toldUid + 1)}] Predicted next UID`);
  out.untagged(`OK [${view.highestModSeqCode()}] Highest`);
}

/** Its sequence number, or 0. */
function firstUnseen(map: SeqMap): number {
  for (const { rows, row, length, seq } of map.runs(1, map.count)) {
    const { entries } = rows.table;
    for (let i = 0; i < length; i++) if (!entries[rows.flags[row + i]!]!.seen) return seq + i;
  }
  return 0;
}

/** RFC 7162 §3.2.5.1: what has changed since the client was here; expunges come before FETCH. */
async function resync(session: ImapSession, view: MailboxView, { modSeq, knownUids, match }: Resync): Promise<void> {
  const last = Math.max(view.mailbox.uidNext - 1, view.map.toldUid);
  if (last === 0) return;
  const set: SequenceSet = knownUids ?? { ranges: [{ from: 1, to: last }], saved: false };
  await writeVanishedEarlier(session, plainRanges(set, last), modSeq, match === null ? 0 : highestMatch(view, match));
  const { uid, flags } = COLUMN_ITEMS;
  const items = [uid, flags].map((item) => ({ t: 'column', item }) as const);
  await runFetch(session, { set, items, changedSince: modSeq, vanished: false }, view.resolve(set, true));
}

/** RFC 7162 §3.2.5.2: the highest uid that the client rightly gives a sequence number; 0 for none. */
function highestMatch(view: MailboxView, match: NonNullable<Resync['match']>): number {
  let highest = 0;
  const uids = numbers(match.uids);
  for (const seq of numbers(match.seqs)) {
    const uid = uids.next();
    if (uid.done === true || seq > view.count) return highest;
    if (view.map.uidAt(seq) === uid.value) highest = uid.value;
  }
  return highest;
}

/** The numbers of a set one by one; the caller stops where the mailbox ends. */
function* numbers(set: SequenceSet): Generator<number> {
  for (const { from, to } of plainRanges(set, 0)) for (let number = from; number <= to; number++) yield number;
}
