/**
 * What one user thinks of one sender: an offset to the logit from the user's own labels, at work from the first label on,
 * and above it the lists of senders that a user always or never wants.
 */

import type { SpamPreferences } from '../ports/directory.ts';
import type { Sender } from './sender.ts';

export interface SenderCounts {
  readonly spam: number;
  readonly ham: number;
}

/** Added to the logit: 0 without labels, +2.2 for one spam label, −2.2 for one ham label. */
export const userOffset = ({ spam, ham }: SenderCounts): number => 1.5 * Math.log((spam + 0.3) / (ham + 0.3));

/** Which list of the user the sender is on. The more exact entry wins; on a tie, block does. */
export function listed(preferences: SpamPreferences, sender: Sender): 'allow' | 'block' | null {
  const entries = [sender.address, `@${sender.domain}`, `@${sender.organisation}`];
  for (const entry of entries) {
    if (entry === '' || entry === '@') continue;
    if (preferences.block.includes(entry)) return 'block';
    if (preferences.allow.includes(entry)) return 'allow';
  }
  return null;
}
