/**
 * Hashing of features to buckets. Deterministic on every machine: stored features and models depend on these exact
 * functions, so a change of any is a new schema.
 */

/** Spreads 32 bits over all bits and keeps the highest, those that `shift` leaves. */
export function bucketOf(hash: number, shift: number): number {
  let h = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> shift;
}

/** FNV-1a over UTF-16 units [start, end), begun with a number that names the kind of token. */
export function hashText(kind: number, text: string, start = 0, end = text.length): number {
  let h = Math.imul(0x811c9dc5 ^ kind, 0x01000193);
  for (let i = start; i < end; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return h;
}

/** A hash of two hashes, in order. */
export const hashPair = (first: number, second: number): number =>
  (Math.imul(first, 0x9e3779b1) + ((second << 13) | (second >>> 19))) | 0;
