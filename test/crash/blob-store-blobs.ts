/** The blobs that the killed process and its parent agree about: blob n by its number; odd ones are referred to. */

import type { BlobRef } from '../../core/mail/ids.ts';
import { refOf, sample } from '../contract/blob-store.contract.ts';

export const blobOf = (number: number): Buffer =>
  number % 50 === 49 ? sample(1_100_000, number) : sample(100 + ((number * 137) % 9000), number, number % 3 === 0);

const known = new Map<BlobRef, number>();
let upTo = 0;

/** Which of the refs are referred to: the odd ones of the first `count` blobs, and every one that is newer. */
export function liveRefs(refs: readonly BlobRef[], count: number): Set<BlobRef> {
  for (; upTo < count; upTo++) known.set(refOf(blobOf(upTo)), upTo);
  return new Set(refs.filter((ref) => (known.get(ref) ?? 1) % 2 === 1));
}
