/**
 * How the nodes share out the sweeping of custody records whose due time has passed without progress. Each record falls
 * into one of 256 buckets by its queue id; ranges of buckets are given to nodes by rendezvous, a few ranges for each node,
 * so each range has one sweeper and one stand-in whatever the number of nodes, and all ranges together are all buckets.
 * Locks only keep two from doing the same work while their views differ: sweeping a record twice must be harmless.
 */

import { firstTwo, hashLow, type MeshNode, memberOf } from './rendezvous.ts';

/** Stored with each record, so that no other number may ever be used. */
const BUCKETS = 256;
/** Ranges for each node, for an even share. */
const RANGES_PER_NODE = 4;

export interface SweepTimes {
  /** Between two rounds over a range that had nothing overdue. */
  readonly everyMs: number;
  /** For how long a range's lock is taken: longer than a round, so that a sweeper that lives keeps it. */
  readonly lockMs: number;
}

export const SWEEP: SweepTimes = { everyMs: 10_000, lockMs: 15_000 };

/** The bucket of a record: 0 … 255. */
export const sweepBucket = (queueId: string): number => hashLow(queueId) & (BUCKETS - 1);

/**
 * Buckets [from, to), swept by one node at a time. The sweeper takes the lock at each round and keeps it. The stand-in
 * tries at each round too, gets the lock only when the sweeper failed to renew it, and gives it back after its round.
 */
export interface SweepRange {
  /** Name of its lock. */
  readonly lock: string;
  readonly from: number;
  readonly to: number;
  readonly sweeper: string;
  /** undefined where there is only one node. */
  readonly standIn: string | undefined;
}

/** All ranges, as all nodes of the same view see them; made anew when the view changes. */
export function sweepPlan(nodes: readonly MeshNode[]): readonly SweepRange[] {
  if (nodes.length === 0) return [];
  const members = nodes.map(memberOf);
  const count = rangeCount(nodes.length);
  const width = BUCKETS / count;
  return Array.from({ length: count }, (_, i) => {
    const from = i * width;
    const lock = `sweep/${from}-${from + width - 1}`;
    const [sweeper, standIn] = firstTwo(lock, members);
    return { lock, from, to: from + width, sweeper: sweeper!, standIn };
  });
}

/** A power of two, so that it divides the buckets. */
function rangeCount(nodes: number): number {
  let count = RANGES_PER_NODE;
  while (count < nodes * RANGES_PER_NODE && count < BUCKETS) count *= 2;
  return count;
}

/**
 * How long until the next round over a range.
 * @param found how many overdue records the last round found, of at most `limit`
 * @param random at least 0 and less than 1: keeps the rounds of all nodes from falling together
 */
export const sweepWaitMs = (found: number, limit: number, random: number, times: SweepTimes = SWEEP): number =>
  // A full batch means that there is more.
  found >= limit ? 0 : times.everyMs * (0.9 + 0.2 * random);
