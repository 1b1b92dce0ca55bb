/** Operations as both mail stores take them up: uids in order and once, flags as sets, a new content in the driver's form. */

import { flagSet } from '../core/mail/flags.ts';
import type { ContentId } from '../core/mail/ids.ts';
import type { ContentInput, Op } from '../core/ports/mail-store.ts';

type AppendOp = Extract<Op, { t: 'append' }>;

export type ReadyAppendOf<C> = Omit<AppendOp, 'content'> & { readonly content: C | { readonly ref: ContentId } };
export type ReadyOpOf<C> = Exclude<Op, AppendOp> | ReadyAppendOf<C>;

/** Ascending and without repeats; a copy of its own buffer, since the caller's may be a view of a larger one. */
export function sortedUids(uids: Uint32Array): Uint32Array {
  const copy = uids.slice().sort();
  let length = 0;
  for (let i = 0; i < copy.length; i++) {
    if (i === 0 || copy[i] !== copy[i - 1]) copy[length++] = copy[i]!;
  }
  return length === copy.length ? copy : copy.slice(0, length);
}

export function readyOpOf<C>(op: Op, contentOf: (input: ContentInput) => C): ReadyOpOf<C> {
  switch (op.t) {
    case 'append':
      return { ...op, flags: flagSet(op.flags), content: 'ref' in op.content ? op.content : contentOf(op.content) };
    case 'store':
      return { ...op, uids: sortedUids(op.uids), flags: flagSet(op.flags) };
    case 'copy':
    case 'move':
      return { ...op, uids: sortedUids(op.uids) };
    case 'expunge':
      return { ...op, uids: op.uids === null ? null : sortedUids(op.uids) };
    default:
      return op;
  }
}
