/** Answers of SEARCH: the untagged SEARCH and ESEARCH responses (RFC 9051 §7.3.4, RFC 3501 §7.2.5, RFC 4731 §3, RFC 7162 §3.1.6). */

import type { Completion } from './command.ts';
import { everyKey, type ReturnOption, type SearchArgs } from './search-keys.ts';
import { type Match, search } from './search-run.ts';
import { formatSequenceSet } from './sequence-set.ts';
import type { ImapSession } from './session.ts';

const highest = (matches: readonly Match[]): number => matches.reduce((most, { modSeq }) => Math.max(most, modSeq), 0);

export async function runSearch(session: ImapSession, args: SearchArgs, byUid: boolean): Promise<Completion> {
  const withModSeq = [...everyKey(args.key)].some((key) => key.t === 'modSeq');
  if (withModSeq) session.enableCondstore();
  await session.look();
  const matches = await search(session, args.key);
  if (args.options === null) await writeSearch(session, matches, byUid, withModSeq);
  else writeEsearch(session, matches, byUid, withModSeq, args.options);
  return {};
}

/** @param withModSeq the MODSEQ key was used */
async function writeSearch(
  { out, input }: ImapSession,
  matches: readonly Match[],
  byUid: boolean,
  withModSeq: boolean,
): Promise<void> {
  out.ascii('* SEARCH');
  for (const { seq, uid } of matches) {
    out.ascii(' ').number(byUid ? uid : seq);
    if (out.needsFlush) await input.flush();
  }
  // RFC 7162 §3.1.6: nothing found has no modSeq.
  if (withModSeq && matches.length > 0) out.ascii(' (MODSEQ ').number(highest(matches)).ascii(')');
  out.crlf();
}

function writeEsearch(
  { out, tag }: ImapSession,
  matches: readonly Match[],
  byUid: boolean,
  withModSeq: boolean,
  options: ReadonlySet<ReturnOption>,
): void {
  const number = (match: Match): number => (byUid ? match.uid : match.seq);
  out
    .ascii('* ESEARCH (TAG ')
    .string(tag)
    .ascii(byUid ? ') UID' : ')');
  const first = matches[0];
  const last = matches.at(-1);
  if (first !== undefined && last !== undefined) {
    if (options.has('MIN')) out.ascii(' MIN ').number(number(first));
    if (options.has('MAX')) out.ascii(' MAX ').number(number(last));
    if (options.has('ALL')) out.ascii(` ALL ${formatSequenceSet(matches.map(number))}`);
  }
  if (options.has('COUNT')) out.ascii(' COUNT ').number(matches.length);
  if (withModSeq && first !== undefined && last !== undefined) {
    // RFC 4731 §3.2: of what is returned, where that is less than everything.
    const all = options.has('ALL') || options.has('COUNT');
    const shown = all ? matches : [...(options.has('MIN') ? [first] : []), ...(options.has('MAX') ? [last] : [])];
    out.ascii(' MODSEQ ').number(highest(shown));
  }
  out.crlf();
}
