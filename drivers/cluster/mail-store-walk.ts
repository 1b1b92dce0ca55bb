/** Going through documents that the going through takes out of the answer, or not. */

import type { Identified } from './mongo-types.ts';

const LOT = 20;

/** Each document that the query finds, once, also where it stays in the query's answer and others are behind it. */
export async function* eachOnce<T extends Identified>(
  find: (limit: number) => Promise<readonly T[]>,
): AsyncGenerator<T, void> {
  const seen = new Set<string>();
  /** Those that are in the answer again. */
  const standing = new Set<string>();
  for (;;) {
    const limit = LOT + standing.size;
    const docs = await find(limit);
    const fresh = docs.filter(({ _id }) => !seen.has(_id));
    for (const { _id } of docs) if (seen.has(_id)) standing.add(_id);
    for (const doc of fresh) {
      seen.add(doc._id);
      yield doc;
    }
    if (docs.length < limit) return;
  }
}
