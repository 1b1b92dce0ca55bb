/**
 * The answer to a commit on its way to another node: what a STORE of a whole mailbox did as columns, since JSON of its rows
 * takes seconds of both nodes at 500,000 messages, and with many keywords no packet would hold it.
 */

import type { FlagSet } from '../core/mail/flags.ts';
import { modSeq, uid } from '../core/mail/ids.ts';
import type { CommitResult, OpResult } from '../core/ports/mail-store.ts';

/** Shorter lists are rows. */
const PACKED_FROM = 1_000;

type Store = Extract<OpResult, { t: 'store' }>;

/** A store's result; row i of each column is one message. */
interface PackedStore extends Omit<Store, 'stored'> {
  readonly columns: {
    readonly uids: Uint32Array;
    /** Index into `flagSets`. */
    readonly flags: Uint32Array;
    readonly flagSets: readonly FlagSet[];
    readonly modSeqs: Float64Array;
  };
}

export interface PackedCommit extends Omit<CommitResult, 'results'> {
  readonly results: readonly (OpResult | PackedStore)[];
}

export const packCommit = (result: CommitResult): PackedCommit => ({
  ...result,
  results: result.results.map((one) =>
    one.ok && one.t === 'store' && one.stored.length >= PACKED_FROM ? packStore(one) : one,
  ),
});

/** What `packCommit` was given; an answer that is not packed is given back. */
export const unpackCommit = (answer: PackedCommit): CommitResult => ({
  ...answer,
  results: answer.results.map((one) => ('columns' in one ? unpackStore(one) : one)),
});

function packStore({ stored, ...result }: Store): PackedStore {
  const uids = new Uint32Array(stored.length);
  const flags = new Uint32Array(stored.length);
  const modSeqs = new Float64Array(stored.length);
  const flagSets: FlagSet[] = [];
  const numbers = new Map<string, number>();
  // Most rows share their set with the one before.
  let last: FlagSet | undefined;
  let number = 0;
  for (const [i, row] of stored.entries()) {
    if (row.flags !== last) {
      last = row.flags;
      const name = JSON.stringify(last);
      number = numbers.get(name) ?? flagSets.push(last) - 1;
      numbers.set(name, number);
    }
    uids[i] = row.uid;
    flags[i] = number;
    modSeqs[i] = row.modSeq;
  }
  return { ...result, columns: { uids, flags, flagSets, modSeqs } };
}

function unpackStore({ columns, ...result }: PackedStore): Store {
  const { uids, flags, flagSets, modSeqs } = columns;
  const stored = Array.from(uids, (at, i) => ({
    uid: uid(at),
    flags: flagSets[flags[i]!]!,
    modSeq: modSeq(modSeqs[i]!),
  }));
  return { ...result, stored };
}
