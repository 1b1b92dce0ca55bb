/**
 * When a node takes, renews, gives back or waits for an account's lease. Pure rules over what the node knows; they keep
 * two promises: a node that routing names and that lives comes to hold the lease, and one that routing does not name (or
 * that drains) lets go of it. Neither makes writing safe: the epoch in each commit does (a deposed owner's is Fenced).
 * Nothing here needs a timer, so an idle account costs nothing: its lease runs out.
 *
 * Times are milliseconds of one node's monotonic clock. The store's clock and the node's need not agree: see `heldUntil`.
 */

export interface LeaseTimes {
  /** For how long a lease is asked; after a node has died whose end nobody noticed its accounts wait at most so long. */
  readonly ttlMs: number;
  /** A write that finds less than this left renews first. */
  readonly renewMs: number;
  /** First wait for a lease whose holder lives and is about to give it back; doubled with each further try. */
  readonly retryMs: number;
  readonly retryMsMax: number;
  /** Those who take over from a node that is gone come spread over so long. */
  readonly spreadMs: number;
}

/** A dead node is noticed after 5 s of silence (see moleculer.config.ts); a lease that lasted longer would be waited for. */
export const LEASE: LeaseTimes = { ttlMs: 6_000, renewMs: 2_000, retryMs: 20, retryMsMax: 320, spreadMs: 500 };

/**
 * What to do with a write that has arrived:
 * - `write`: the lease is held for long enough; commit with its epoch;
 * - `renew`: held, but ask the store for more time first;
 * - `take`: ask the store for the lease; where it refuses, ask again after `retryAfter`;
 * - `decline`: the account is another node's; whoever asked looks there. A lease still held is given back.
 */
export type WriteStep = 'write' | 'renew' | 'take' | 'decline';

export interface LeaseView {
  /** End of the lease that this node holds, as `heldUntil` gave it; 0 for none. */
  readonly until: number;
  readonly now: number;
  /** Routing names this node for the account. */
  readonly mine: boolean;
  /** The node is about to stop and takes no new work. */
  readonly draining: boolean;
}

export function writeStep(view: LeaseView, times: LeaseTimes = LEASE): WriteStep {
  if (!view.mine || view.draining) return 'decline';
  if (view.now >= view.until) return 'take';
  return view.until - view.now < times.renewMs ? 'renew' : 'write';
}

/**
 * Whether a lease is to be given back now: asked for each held one when routing changes or a drain begins, and again when
 * the last commit under it has ended. Waiting for running commits keeps them from being Fenced and done twice.
 */
export const givesBack = (view: LeaseView, running: number): boolean =>
  running === 0 && view.now < view.until && (view.draining || !view.mine);

/**
 * The end of a lease by this node's clock: counted from before the store was asked, so that it is never later than the
 * end by the store's clock, however long the answer took and whatever time of day either believes it is.
 */
export const heldUntil = (askedAt: number, ttlMs: number = LEASE.ttlMs): number => askedAt + ttlMs;

/**
 * How long to wait before a lease that another node holds is asked for again.
 * @param holder what the store says of the holder; `lives`: it is among the nodes that routing knows. From one that is not
 * the lease is to be taken then, whether it has run out or not.
 * @param tries how often it has been refused before, 0 at first
 * @param random at least 0 and less than 1: keeps many that wait from coming at once
 */
export function retryAfter(
  holder: { readonly leftMs: number; readonly lives: boolean },
  tries: number,
  random: number,
  times: LeaseTimes = LEASE,
): number {
  const left = Math.max(0, holder.leftMs);
  // Nobody can give it back. Where nodes that do not see each other contend for it, each gets something done in the pause.
  if (!holder.lives) return Math.min(left, random * times.spreadMs);
  const wait = Math.min(times.retryMsMax, times.retryMs * 2 ** Math.min(tries, 16)) * (0.5 + random);
  return Math.min(wait, left + random * times.retryMs);
}
