/**
 * Splits a list of uids into runs that one range read each can serve: gaps of a few uids are read over, since stepping
 * past a row costs much less than another look-up.
 */

const GAP_MAX = 16;

export interface UidRun {
  readonly first: number;
  readonly last: number;
  /** Whether the uid is in the list. Must be asked in ascending order. */
  has(uid: number): boolean;
}

/** @param uids ascending, without repeats */
export function* uidRuns(uids: Uint32Array): Generator<UidRun> {
  for (let start = 0; start < uids.length; ) {
    let end = start + 1;
    while (end < uids.length && uids[end]! - uids[end - 1]! <= GAP_MAX) end++;
    const stop = end;
    let next = start;
    yield {
      first: uids[start]!,
      last: uids[end - 1]!,
      has(uid) {
        while (next < stop && uids[next]! < uid) next++;
        return next < stop && uids[next] === uid;
      },
    };
    start = end;
  }
}
