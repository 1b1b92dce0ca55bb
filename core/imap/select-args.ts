/** The arguments of SELECT and EXAMINE (RFC 9051 §6.3.2, RFC 7162 §7). */

import { BadSyntax } from './bad-syntax.ts';
import type { ArgParser, SequenceSet } from './parser.ts';

export interface Resync {
  readonly uidValidity: number;
  readonly modSeq: number;
  /** null: all that there have ever been. */
  readonly knownUids: SequenceSet | null;
  /** Sequence numbers and the uids that the client thinks they have, pairwise ascending. */
  readonly match: { readonly seqs: SequenceSet; readonly uids: SequenceSet } | null;
}

export interface SelectArgs {
  readonly name: string;
  readonly condstore: boolean;
  readonly resync: Resync | null;
}

export function parseSelect(parser: ArgParser): SelectArgs {
  parser.space();
  const name = parser.mailboxName();
  let condstore = false;
  let resync: Resync | null = null;
  if (parser.trySpace()) {
    parser.list(() => {
      if (parser.tryKeyword('CONDSTORE')) condstore = true;
      else if (resync === null && parser.tryKeyword('QRESYNC')) resync = parseResync(parser);
      else throw new BadSyntax('Unknown SELECT parameter');
    });
  }
  return { name, condstore, resync };
}

function parseResync(parser: ArgParser): Resync {
  parser.space();
  parser.open();
  const uidValidity = parser.nzNumber();
  parser.space();
  const modSeq = parser.modSeq();
  let knownUids: SequenceSet | null = null;
  let match: Resync['match'] = null;
  while (!parser.tryClose()) {
    parser.space();
    if (match === null && parser.tryOpen()) {
      const seqs = knownSet(parser);
      parser.space();
      match = { seqs, uids: knownSet(parser) };
      parser.close();
    } else if (knownUids === null && match === null) knownUids = knownSet(parser);
    else throw new BadSyntax('Unexpected QRESYNC argument');
  }
  return { uidValidity, modSeq, knownUids, match };
}

/** RFC 7162 §7: `*` and `$` are not allowed in what the client knows. */
function knownSet(parser: ArgParser): SequenceSet {
  const set = parser.sequenceSet();
  if (set.saved || set.ranges.some(({ from, to }) => from === '*' || to === '*')) {
    throw new BadSyntax('* is not allowed in a known set');
  }
  return set;
}
