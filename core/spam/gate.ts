/**
 * The offline gate: whether a candidate may replace the champion. It must not be worse on labels neither of them was
 * trained on when it judged them; where there are too few of those, it must make no new error on any label and none on
 * the golden messages. The answer carries the numbers that it rests on.
 */

import { type Combiner, score, type Thresholds, type Weights } from './model.ts';
import type { FeatureLists } from './schema.ts';

/** Two models judging the same labelled messages. */
export class Comparison {
  spam = 0;
  ham = 0;
  championErrors = 0;
  candidateErrors = 0;
  championFalsePositives = 0;
  candidateFalsePositives = 0;
  /** Right by the champion, wrong by the candidate. */
  newErrors = 0;
  newFalsePositives = 0;

  get count(): number {
    return this.spam + this.ham;
  }

  add(label: 'spam' | 'ham', champion: Judgement, candidate: Judgement): void {
    this[label]++;
    const before = champion.p >= 0.5 !== (label === 'spam');
    const after = candidate.p >= 0.5 !== (label === 'spam');
    if (before) this.championErrors++;
    if (after) this.candidateErrors++;
    if (after && !before) this.newErrors++;
    if (label === 'spam') return;
    const junkedBefore = champion.p >= champion.threshold;
    const junkedAfter = candidate.p >= candidate.threshold;
    if (junkedBefore) this.championFalsePositives++;
    if (junkedAfter) this.candidateFalsePositives++;
    if (junkedAfter && !junkedBefore) this.newFalsePositives++;
  }
}

export interface Judgement {
  readonly p: number;
  /** At and above it the message goes to Junk. */
  readonly threshold: number;
}

export interface Judge {
  readonly weights: Weights;
  readonly combiner: Combiner;
  readonly thresholds: Thresholds;
}

export const judge = (model: Judge, features: FeatureLists): Judgement => ({
  p: score(model.weights, model.combiner, features).p,
  threshold: model.thresholds.spam,
});

export interface GateInput {
  /** Judged before they were learned, and newer than the champion's training. */
  readonly heldOut: Comparison;
  /** The labels trained on, judged afterwards. */
  readonly fit: Comparison;
  readonly golden: Comparison;
  /** Labels that the champion was trained on. */
  readonly championLabels: number;
}

export interface GateResult {
  readonly accept: boolean;
  /** For people. */
  readonly reason: string;
  readonly metrics: Readonly<Record<string, number>>;
}

/** Fewer held-out labels than this say nothing by themselves. */
const HELD_OUT_MIN = 20;
/** Share of golden messages that may newly be misjudged at p = .5: local spam differs from the seed's, wanted mail is safe. */
const GOLDEN_LOSS = 0.25;

export function gate({ heldOut, fit, golden, championLabels }: GateInput): GateResult {
  const metrics = {
    heldOut: heldOut.count,
    heldOutErrors: heldOut.candidateErrors,
    heldOutErrorsBefore: heldOut.championErrors,
    heldOutFalsePositives: heldOut.candidateFalsePositives,
    heldOutFalsePositivesBefore: heldOut.championFalsePositives,
    labels: fit.count,
    labelErrors: fit.candidateErrors,
    labelErrorsBefore: fit.championErrors,
    golden: golden.count,
    goldenNewErrors: golden.newErrors,
    goldenNewFalsePositives: golden.newFalsePositives,
  };
  const answer = (accept: boolean, reason: string): GateResult => ({ accept, reason, metrics });
  if (fit.count === 0)
    return championLabels > 0
      ? answer(true, 'every label was withdrawn: back to the model without them')
      : answer(false, 'there are no labels to learn from');
  if (golden.newFalsePositives > 0)
    return answer(false, `${golden.newFalsePositives} golden wanted messages would newly go to Junk`);
  const missed = golden.newErrors - golden.newFalsePositives;
  if (missed > golden.count * GOLDEN_LOSS) return answer(false, `${missed} golden messages would newly be misjudged`);
  if (heldOut.count >= HELD_OUT_MIN) {
    const figures = `errors ${heldOut.championErrors} → ${heldOut.candidateErrors}, false positives ${heldOut.championFalsePositives} → ${heldOut.candidateFalsePositives} of ${heldOut.count} newest labels`;
    if (heldOut.candidateFalsePositives > heldOut.championFalsePositives)
      return answer(false, `more false positives: ${figures}`);
    if (heldOut.candidateErrors > heldOut.championErrors) return answer(false, `more errors: ${figures}`);
    return answer(true, `not worse: ${figures}`);
  }
  const figures = `errors ${fit.championErrors} → ${fit.candidateErrors} of ${fit.count} labels`;
  if (fit.newErrors > 0 || fit.newFalsePositives > 0) return answer(false, `new errors on the labels: ${figures}`);
  return answer(true, `no new error: ${figures}`);
}
