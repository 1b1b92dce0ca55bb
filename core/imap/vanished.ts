/**
 * VANISHED (EARLIER): which messages of a set of uids have been expunged since a modSeq (RFC 7162 §3.2.6). Where the
 * history does not reach back so far, all uids of the set that no message has are told (§3.2.5.1).
 */

import { modSeq } from '../mail/ids.ts';
import type { SeqRange } from './message-set.ts';
import type { SeqMap } from './seq-map.ts';
import { formatSequenceSet } from './sequence-set.ts';
import type { ImapSession } from './session.ts';

/** Uids in one response at most: clients' line buffers are bounded. */
const UIDS_AT_ONCE = 2_000;

/**
 * @param wanted ranges of uids, ascending and apart
 * @param matched the client knows of all expunges up to this uid, where the history is too short to say (§3.2.5.2)
 */
export async function writeVanishedEarlier(
  session: ImapSession,
  wanted: readonly SeqRange[],
  since: number,
  matched: number,
): Promise<void> {
  const { view, out } = session;
  const uids = await expungedSince(session, since);
  if (uids !== null) {
    const told = wantedOf(uids, wanted).filter((uid) => view.map.seqOf(uid) === 0);
    for (let at = 0; at < told.length; at += UIDS_AT_ONCE) {
      out.untagged(`VANISHED (EARLIER) ${formatSequenceSet(told.slice(at, at + UIDS_AT_ONCE))}`);
    }
    return;
  }
  const gaps: string[] = [];
  const tell = (): void => {
    if (gaps.length > 0) out.untagged(`VANISHED (EARLIER) ${gaps.join(',')}`);
    gaps.length = 0;
  };
  for (const { from, to } of missing(view.map, wanted)) {
    const first = Math.max(from, matched + 1);
    if (first > to) continue;
    gaps.push(first === to ? `${first}` : `${first}:${to}`);
    if (gaps.length === UIDS_AT_ONCE) tell();
  }
  tell();
}

/** Ascending; null where the history does not reach back to `since`. */
async function expungedSince(session: ImapSession, since: number): Promise<number[] | null> {
  const { store } = session.env;
  const uids = new Set<number>();
  let from = modSeq(since);
  for (;;) {
    const changes = await store.changes(session.account, session.view.mailbox.id, from);
    if (changes.tooOld) return null;
    for (const { uid } of changes.vanished) uids.add(uid);
    if (!changes.more) break;
    from = changes.upTo;
  }
  return [...uids].sort((a, b) => a - b);
}

function wantedOf(uids: readonly number[], wanted: readonly SeqRange[]): number[] {
  const found: number[] = [];
  let at = 0;
  for (const { from, to } of wanted) {
    while (at < uids.length && uids[at]! < from) at++;
    for (; at < uids.length && uids[at]! <= to; at++) found.push(uids[at]!);
  }
  return found;
}

/** Runs of uids in the ranges that the client's messages do not have. */
function* missing(map: SeqMap, wanted: readonly SeqRange[]): Generator<SeqRange> {
  for (const { from, to } of wanted) {
    let next = from;
    const firstSeq = map.rank(from) + 1;
    const lastSeq = map.rank(to + 1);
    for (const { rows, row, length } of map.runs(firstSeq, lastSeq)) {
      for (let i = row; i < row + length; i++) {
        const uid = rows.uids[i]!;
        if (uid > next) yield { from: next, to: uid - 1 };
        next = uid + 1;
      }
    }
    if (next <= to) yield { from: next, to };
  }
}
