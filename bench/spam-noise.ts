/**
 * Wrong labels: the stream as a hundred users label it, one in twenty labels flipped at random, or one user in ten
 * inverting every label, learned with the weights of production. Right is what the corpus says.
 */

import { accountId } from '../core/mail/ids.ts';
import { FeatureDecoder } from '../core/spam/codec.ts';
import { Learner, noSquares } from '../core/spam/learner.ts';
import { combine, MEAN_COMBINER, Weights } from '../core/spam/model.ts';
import { SampleWeigher } from '../core/spam/sample-weight.ts';
import { GROUPS } from '../core/spam/schema.ts';
import type { StreamItem } from './spam-corpus.ts';
import { accuracy, type Scored, seeded } from './spam-metrics.ts';

const USERS = 100;

export interface Noise {
  readonly name: string;
  readonly target: number;
  readonly accuracy: number;
  readonly half: number;
}

export function measureNoise(items: readonly StreamItem[], features: readonly Uint8Array[]): Noise[] {
  const flips = seeded(2);
  const users = seeded(3);
  const owners = items.map(() => Math.floor(users() * USERS));
  const half = items.length >> 1;
  const measure = (name: string, target: number, flipped: (i: number) => boolean): Noise => {
    const scored = learn(items, features, owners, flipped);
    return { name, target, accuracy: accuracy(scored), half: accuracy(scored.slice(half)) };
  };
  return [
    measure('5 % random label flips', 99, () => flips() < 0.05),
    measure('10 % of users inverting', 99.8, (i) => owners[i]! < USERS / 10),
  ];
}

function learn(
  items: readonly StreamItem[],
  features: readonly Uint8Array[],
  owners: readonly number[],
  flipped: (i: number) => boolean,
): Scored[] {
  const decoder = new FeatureDecoder();
  const learner = new Learner(new Weights(), noSquares());
  const weigher = new SampleWeigher(0);
  const logits = new Float64Array(GROUPS.length);
  return items.map((item, i) => {
    decoder.decode(features[i]!);
    learner.weights.logits(decoder, logits);
    const logit = combine(logits, MEAN_COMBINER);
    const spam = item.label === 'spam';
    const label = spam === flipped(i) ? 'ham' : 'spam';
    const account = accountId(`user${owners[i]!}`);
    const weight = weigher.weigh(
      { account, sender: String(i), label, weight: 1, at: item.at },
      decoder.campaign,
      logit,
    );
    learner.learn(decoder, logits, label, weight);
    return { spam, logit };
  });
}
