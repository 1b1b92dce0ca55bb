/** From a message's logit to one recipient's verdict: the user's own labels, then the threshold, and above all the lists. */

import { sigmoid } from './model.ts';
import { type SenderCounts, userOffset } from './offset.ts';

export interface Decision {
  readonly decision: 'spam' | 'ham';
  /** Probability of spam for this recipient. */
  readonly score: number;
  /** What decided: the model, the user's own labels of this sender, or a list of the user. */
  readonly why: 'model' | 'own labels' | 'allow list' | 'block list';
}

export function decide(
  logit: number,
  threshold: number,
  counts: SenderCounts,
  list: 'allow' | 'block' | null,
): Decision {
  const score = sigmoid(logit + userOffset(counts));
  if (list === 'block') return { decision: 'spam', score, why: 'block list' };
  if (list === 'allow') return { decision: 'ham', score, why: 'allow list' };
  const decision = score >= threshold ? 'spam' : 'ham';
  const alone = sigmoid(logit) >= threshold ? 'spam' : 'ham';
  return { decision, score, why: alone === decision ? 'model' : 'own labels' };
}
