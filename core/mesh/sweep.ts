/**
 * How the nodes that run a stage share out looking for its overdue jobs: those whose pointer NATS has lost, whose retry
 * has fallen due, whose worker is gone. Looking costs the database a query, so many nodes look less often each; and when
 * there is more than one look finds, each takes from its own share first, so that they do not run for the same jobs.
 * While views differ shares overlap or leave gaps: claims are guarded, and shares grow where nothing is left.
 */

/** So many nodes look as often as each of them would alone. */
const NODES_AT_FULL_PACE = 4;
/** Then they look less often, until it would take too long. */
const SLOWDOWN_MAX = 4;

/** The times between two looks of one node are longer by this than if it were alone. */
export const sweepSlowdown = (nodes: number): number => Math.min(SLOWDOWN_MAX, Math.max(1, nodes / NODES_AT_FULL_PACE));

/** From `from` to below `to` of everything, which goes from 0 to 1. */
export interface SweepShare {
  readonly from: number;
  readonly to: number;
}

/**
 * A node's share. With each step wider it is twice as large, until it is everything: a node that is done with its own goes
 * on with those of its neighbours, which may be at rest or gone. A node that is not among those that are known takes from
 * everything.
 */
export function sweepShare(self: string, nodes: readonly string[], wider = 0): SweepShare {
  const count = nodes.length;
  const width = 2 ** wider;
  if (!nodes.includes(self) || width >= count) return { from: 0, to: 1 };
  const before = nodes.reduce((sum, id) => sum + (id < self ? 1 : 0), 0);
  const first = before - (before % width);
  return { from: first / count, to: Math.min(count, first + width) / count };
}
