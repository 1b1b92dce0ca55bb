/**
 * The sparse models: one logistic regression per feature group, and the combiner that makes one probability of their
 * logits. A model in use is never changed: learning (learner.ts) works on a copy.
 */

import { type FeatureLists, GROUP_BUCKETS, GROUPS } from './schema.ts';

/** How group logits become one logit. The seam for a fitted combiner: the same shape, other numbers. */
export interface Combiner {
  readonly bias: number;
  /** One factor per group. */
  readonly factors: readonly number[];
  /** Least logit each group may contribute: content can't vouch for a message (defence against stuffing with good words). */
  readonly floors: readonly number[];
  /** Most that each may contribute either way. */
  readonly limit: number;
}

export interface Thresholds {
  /** At and above this probability a message goes to Junk. */
  readonly spam: number;
}

/**
 * Every group counts alike. Bounds matter more than factors: no group can outvote the others by sheer length, and the
 * floors keep good words from vouching for a message.
 */
export const MEAN_COMBINER: Combiner = {
  bias: 0,
  factors: [0.2, 0.2, 0.2, 0.2, 0.2, 0.2],
  floors: [-1, -6, -1, -1, -6, -6],
  limit: 6,
};

export const sigmoid = (logit: number): number => 1 / (1 + Math.exp(-logit));

export interface Score {
  /** By group, before the combiner's bounds. */
  readonly logits: Float64Array;
  /** Combined. */
  readonly logit: number;
  /** Probability of spam. */
  readonly p: number;
}

export class Weights {
  readonly groups: readonly Float32Array[];
  readonly biases: Float64Array;

  constructor(groups?: readonly Float32Array[], biases?: Float64Array) {
    this.groups = groups ?? GROUP_BUCKETS.map((buckets) => new Float32Array(buckets));
    this.biases = biases ?? new Float64Array(GROUPS.length);
  }

  /** Fills `logits` with each group's logit. */
  logits(features: FeatureLists, logits: Float64Array): void {
    for (let group = 0; group < this.groups.length; group++)
      logits[group] = this.biases[group]! + sum(this.groups[group]!, features.lists[group]!, features.counts[group]!);
  }
}

function sum(weights: Float32Array, list: Uint32Array, count: number): number {
  let total = 0;
  for (let i = 0; i < count; i++) total += weights[list[i]!]!;
  return total;
}

export function combine(logits: Float64Array, combiner: Combiner): number {
  let total = combiner.bias;
  for (let group = 0; group < logits.length; group++) {
    const bounded = Math.min(combiner.limit, Math.max(combiner.floors[group]!, -combiner.limit, logits[group]!));
    total += combiner.factors[group]! * bounded;
  }
  return total;
}

export function score(weights: Weights, combiner: Combiner, features: FeatureLists): Score {
  const logits = new Float64Array(weights.groups.length);
  weights.logits(features, logits);
  const logit = combine(logits, combiner);
  return { logits, logit, p: sigmoid(logit) };
}
