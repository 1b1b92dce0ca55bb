/**
 * Making a seed model from a labelled corpus: what can be of use to others stays, what is particular to the corpus does
 * not. The route group is left empty, and so is every feature that only a handful of messages had.
 */

import type { Artefact } from './artefact.ts';
import { FeatureDecoder } from './codec.ts';
import type { GoldenMessage } from './golden.ts';
import { Learner, noSquares } from './learner.ts';
import { combine, MEAN_COMBINER, Weights } from './model.ts';
import { GROUP_BUCKETS, GROUPS, HEADER, ROUTE, SCHEMA, SIGNAL } from './schema.ts';

/** Features that fewer messages had are dropped. Header tokens name people more often, so they need more. */
const MESSAGES_MIN = 4;
const HEADER_MESSAGES_MIN = 12;
const EPOCHS = 2;
/**
 * A model of other people's mail is held back: at p = .95 it found two thirds of later spam and took no wanted message,
 * learned from the first half of the corpus and judged on the second.
 */
const SEED_THRESHOLD = 0.95;

const GOLDEN = { ham: 60, spam: 30 };
/** |logit| from which a message of the corpus can be golden. */
const GOLDEN_LOGIT = 2.5;

export interface Seed {
  readonly artefact: Artefact;
  readonly golden: readonly GoldenMessage[];
}

/** @param corpus stored features with their labels, in the order of time */
export function makeSeed(corpus: readonly GoldenMessage[]): Seed {
  const decoder = new FeatureDecoder();
  const learner = new Learner(new Weights(), noSquares());
  const logits = new Float64Array(GROUPS.length);
  for (let epoch = 0; epoch < EPOCHS; epoch++) {
    for (const { label, features } of corpus) {
      if (!decoder.decode(features)) continue;
      learner.weights.logits(decoder, logits);
      learner.learn(decoder, logits, label, 1);
    }
  }
  const { weights } = learner;
  const squares = learner.levels();
  dropRare(corpus, weights, squares, decoder);
  const artefact: Artefact = {
    schema: SCHEMA,
    weights,
    squares,
    combiner: MEAN_COMBINER,
    thresholds: { spam: SEED_THRESHOLD },
    parent: null,
    trainedTo: 0,
    labels: 0,
    labelWeight: 0,
  };
  return { artefact, golden: chooseGolden(corpus, weights, decoder) };
}

function dropRare(
  corpus: readonly GoldenMessage[],
  weights: Weights,
  squares: Uint8Array,
  decoder: FeatureDecoder,
): void {
  const messages = GROUP_BUCKETS.map((buckets) => new Uint16Array(buckets));
  for (const { features } of corpus) {
    if (!decoder.decode(features)) continue;
    for (let group = 0; group < messages.length; group++) {
      const counts = messages[group]!;
      const list = decoder.lists[group]!;
      for (let i = 0; i < decoder.counts[group]!; i++) counts[list[i]!]!++;
    }
  }
  let at = 0;
  for (let group = 0; group < messages.length; group++) {
    const least = group === HEADER ? HEADER_MESSAGES_MIN : group === SIGNAL ? 1 : MESSAGES_MIN;
    const values = weights.groups[group]!;
    for (let bucket = 0; bucket < values.length; bucket++, at++) {
      if (group !== ROUTE && messages[group]![bucket]! >= least) continue;
      values[bucket] = 0;
      squares[at] = 0;
    }
  }
  weights.biases[ROUTE] = 0;
}

/** Evenly over the corpus, of those that the seed is sure of and right about. */
function chooseGolden(corpus: readonly GoldenMessage[], weights: Weights, decoder: FeatureDecoder): GoldenMessage[] {
  const logits = new Float64Array(GROUPS.length);
  const sure = corpus.filter(({ label, features }) => {
    if (!decoder.decode(features)) return false;
    weights.logits(decoder, logits);
    return combine(logits, MEAN_COMBINER) * (label === 'spam' ? 1 : -1) >= GOLDEN_LOGIT;
  });
  return (['ham', 'spam'] as const).flatMap((label) => {
    const all = sure.filter((one) => one.label === label);
    const step = Math.max(1, all.length / GOLDEN[label]);
    return Array.from({ length: Math.min(GOLDEN[label], all.length) }, (_, i) => all[Math.floor(i * step)]!);
  });
}
