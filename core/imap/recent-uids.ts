/** The messages that are \Recent in one session (RFC 3501 §2.3.2): ranges of uids, ascending and apart. */

import type { SeqMap } from './seq-map.ts';

export class RecentUids {
  readonly #ranges: { readonly from: number; to: number }[] = [];
  /** No uid below it is recent: lets most messages be judged by one comparison. */
  first = Number.POSITIVE_INFINITY;

  /** Adds from..end−1, which lie above all others. */
  add(from: number, end: number): void {
    if (from >= end) return;
    const last = this.#ranges.at(-1);
    if (last !== undefined && from <= last.to) last.to = Math.max(last.to, end);
    else this.#ranges.push({ from, to: end });
    this.first = this.#ranges[0]!.from;
  }

  has(uid: number): boolean {
    if (uid < this.first) return false;
    return this.#ranges.some(({ from, to }) => uid >= from && uid < to);
  }

  /** How many of a session's messages are recent. */
  count(map: SeqMap): number {
    return this.#ranges.reduce((sum, { from, to }) => sum + map.rank(to) - map.rank(from), 0);
  }
}
