/** When a failed try is made again: exponential with jitter, so that many failures do not come back at once. */

/**
 * @param attempt 1 after the first failure
 * @param random 0 ≤ random < 1
 * @returns milliseconds to wait: between half and the whole of `firstMs`·2^(attempt−1), at most `mostMs`
 */
export function backoffMs(attempt: number, firstMs: number, mostMs: number, random: number): number {
  const full = Math.min(mostMs, firstMs * 2 ** Math.min(40, attempt - 1));
  return Math.round(full / 2 + (full / 2) * random);
}
