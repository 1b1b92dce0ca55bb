/**
 * Learning: one step of gradient descent for each group and label, each group on its own, with a step per feature that
 * shrinks as the feature's squared errors add up (AdaGrad). What has been seen a thousand times hardly moves any more, so
 * one label of a new kind of mail is learned at once without shaking what is known.
 */

import { sigmoid, Weights } from './model.ts';
import { type FeatureLists, GROUP_BUCKETS } from './schema.ts';

export interface Hyper {
  /** First step of a feature, by group. Groups with fewer features per message take larger ones. */
  readonly rates: readonly number[];
}

/** Found on the first half of the benchmark's stream. */
export const HYPER: Hyper = { rates: [0.03, 0.3, 0.07, 0.03, 0.3, 0.4] };

/** Squared errors that a feature nobody has seen begins with. */
const INITIAL = 0.1;
/**
 * Stored sums are rounded to the exponent and three bits of the mantissa of sum / INITIAL as a Float32: a byte reaches
 * from INITIAL to 2^31 times that, and no library's logarithm has a say in a model's bytes.
 */
const MANTISSA_DROPPED = 20;
const LEVEL_OF_ONE = 127 << 3;
/** Errors below this move no weight in a way that a verdict could show. */
const ERROR_MIN = 1e-4;

const TOTAL = GROUP_BUCKETS.reduce((sum, buckets) => sum + buckets, 0);

const ALL_SPAM = new Float64Array(GROUP_BUCKETS.length).fill(1);
const ALL_HAM = new Float64Array(GROUP_BUCKETS.length);

/** Stored form of the sums of squared errors: one byte for each bucket of each group in turn. */
export type SquareLevels = Uint8Array;

export const noSquares = (): SquareLevels => new Uint8Array(TOTAL);

export class Learner {
  readonly weights: Weights;
  readonly #squares: readonly Float32Array[];
  readonly #hyper: Hyper;

  /** Works on copies. */
  constructor(weights: Weights, levels: SquareLevels, hyper: Hyper = HYPER) {
    this.weights = new Weights(
      weights.groups.map((group) => group.slice()),
      weights.biases.slice(),
    );
    this.#hyper = hyper;
    let at = 0;
    this.#squares = GROUP_BUCKETS.map((buckets) => {
      const squares = new Float32Array(buckets);
      for (let i = 0; i < buckets; i++) squares[i] = SQUARES[levels[at++]!]!;
      return squares;
    });
  }

  /** One step towards a label from logits just computed; `weight` scales it. */
  learn(features: FeatureLists, logits: Float64Array, label: 'spam' | 'ham', weight: number): void {
    this.learnTowards(features, logits, label === 'spam' ? ALL_SPAM : ALL_HAM, weight);
  }

  /** The same towards a probability of spam for each group. */
  learnTowards(features: FeatureLists, logits: Float64Array, targets: Float64Array, weight: number): void {
    for (let group = 0; group < this.#squares.length; group++) {
      const error = targets[group]! - sigmoid(logits[group]!);
      if (weight * Math.abs(error) < ERROR_MIN) continue;
      const rate = this.#hyper.rates[group]! * weight * error;
      const count = features.counts[group]!;
      // The bias moves like a feature that every message has: slowly, so that it follows the share of spam only.
      this.weights.biases[group]! += rate / Math.sqrt(1 + count);
      descend(
        this.weights.groups[group]!,
        this.#squares[group]!,
        features.lists[group]!,
        count,
        rate,
        weight * error * error,
      );
    }
  }

  levels(): SquareLevels {
    const levels = noSquares();
    const one = new Float32Array(1);
    const bits = new Int32Array(one.buffer);
    let at = 0;
    for (const squares of this.#squares) {
      for (let i = 0; i < squares.length; i++, at++) {
        if (squares[i]! <= INITIAL_STORED) continue;
        one[0] = squares[i]! / INITIAL;
        const level = ((bits[0]! + (1 << (MANTISSA_DROPPED - 1))) >> MANTISSA_DROPPED) - LEVEL_OF_ONE;
        levels[at] = Math.min(255, level);
      }
    }
    return levels;
  }
}

/** As a Float32, which is what squares are kept in. */
const INITIAL_STORED = Math.fround(INITIAL);

/** Sum of squares of each level. */
const SQUARES = Float32Array.from({ length: 256 }, (_, level) => {
  const bits = Int32Array.of((LEVEL_OF_ONE + level) << MANTISSA_DROPPED);
  return INITIAL * new Float32Array(bits.buffer)[0]!;
});

function descend(
  weights: Float32Array,
  squares: Float32Array,
  list: Uint32Array,
  count: number,
  rate: number,
  square: number,
): void {
  for (let i = 0; i < count; i++) {
    const bucket = list[i]!;
    const sum = squares[bucket]! + square;
    squares[bucket] = sum;
    weights[bucket]! += rate / Math.sqrt(sum);
  }
}
