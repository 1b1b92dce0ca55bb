/**
 * The trainer: labels in the order of the log, one slice after the other, to a candidate model and the numbers for its
 * gate. It works on a copy of the weights it starts from, judges each held-out label before it learns it, and holds no
 * more of the samples than it needs to learn a short log several times over. The same log gives the same model.
 */

import type { ModelId } from '../mail/ids.ts';
import type { Sample } from '../ports/sample-store.ts';
import type { Artefact } from './artefact.ts';
import { Background, Graft } from './background.ts';
import { FeatureDecoder } from './codec.ts';
import { Comparison, type GateInput, type Judge, judge } from './gate.ts';
import type { GoldenMessage } from './golden.ts';
import { HYPER, type Hyper, Learner } from './learner.ts';
import { combine, sigmoid } from './model.ts';
import { SampleWeigher } from './sample-weight.ts';
import { SCHEMA } from './schema.ts';

interface TrainerOptions {
  /** The weights to start from: the seed's for a rebuild of the whole log, the champion's to learn new labels only. */
  readonly start: Artefact;
  readonly startId: ModelId | null;
  /** What the candidate is compared with. */
  readonly champion: Judge & Pick<Artefact, 'labels'>;
  /** Labels behind this place of the log are judged before they are learned. See `heldOutAfter`. */
  readonly heldOutAfter: number;
  /** Stored features of messages whose verdict is beyond doubt. */
  readonly golden: readonly GoldenMessage[];
  /** Stored features of recent mail that nobody labelled, a few hundred: see background.ts. */
  readonly recent: readonly Uint8Array[];
  /** Milliseconds since 1970. */
  readonly now: number;
  readonly hyper?: Hyper;
}

/** A short log is learned several times, so that one user's few labels show. */
const REPEAT_MAX = 16;
const REPEAT_BELOW = 1500;
/** In the first pass: enough that no length of log forgets what is beyond doubt. */
const REHEARSE_EVERY = 10;
/** Labels that are judged once more at the end: the newest. */
const KEPT_MAX = REPEAT_BELOW;
const SLICE = 250;
/**
 * A short log is learned until its labels are judged rightly with this much to spare, and no further: what the labelled
 * messages share with all others would be condemned with them.
 */
const SPAM_MARGIN = 0.5;
const HAM_LOGIT = -1;

interface Kept {
  readonly label: 'spam' | 'ham';
  readonly features: Uint8Array;
  readonly weight: number;
}

/** Where the held-out fifth begins, among the labels that the champion has not learned. */
export const heldOutAfter = (lastSeq: number, championTrainedTo: number): number =>
  Math.max(Math.min(championTrainedTo, lastSeq), lastSeq - Math.max(1, Math.ceil(lastSeq / 5)));

/**
 * Junk threshold by how much has been learned locally: a model of other people's mail is held back (its own threshold
 * would put a fifth of wanted mail into Junk); 200 labels help, 1,000 repay everything.
 */
export const thresholdFor = (seed: number, labelWeight: number): number =>
  MATURE_THRESHOLD + (Math.max(seed, MATURE_THRESHOLD) - MATURE_THRESHOLD) * (200 / (200 + labelWeight));
const MATURE_THRESHOLD = 0.9;

export class Trainer {
  readonly #options: TrainerOptions;
  readonly #weigher: SampleWeigher;
  readonly #decoder = new FeatureDecoder();
  readonly #candidate: Judge;
  readonly #logits: Float64Array;
  readonly #learner: Learner;
  readonly #background: Background;
  readonly #graft = new Graft();
  readonly #heldOut = new Comparison();
  readonly #fit = new Comparison();
  readonly #golden = new Comparison();
  #kept: Kept[] = [];
  #seen = 0;
  #learned = 0;
  #labelWeight = 0;
  #trainedTo: number;
  /** Place in the kept samples and round of the repetition. */
  #round = 1;
  #place = 0;
  #judged = 0;

  constructor(options: TrainerOptions) {
    this.#options = options;
    this.#weigher = new SampleWeigher(options.now);
    const { start } = options;
    this.#learner = new Learner(start.weights, start.squares, options.hyper ?? HYPER);
    this.#background = new Background(start.weights, this.#learner, options.golden, options.recent);
    this.#candidate = { weights: this.#learner.weights, combiner: start.combiner, thresholds: start.thresholds };
    this.#logits = new Float64Array(start.weights.groups.length);
    this.#trainedTo = start.trainedTo;
  }

  /** Learns the next samples of the log. A thousand take about 100 ms. */
  learn(samples: readonly Sample[]): void {
    for (const sample of samples) {
      this.#trainedTo = Math.max(this.#trainedTo, sample.seq);
      if (sample.label === 'withdrawn' || sample.schema !== SCHEMA || !this.#decoder.decode(sample.features)) continue;
      const { label } = sample;
      const { weights, combiner } = this.#candidate;
      weights.logits(this.#decoder, this.#logits);
      const logit = combine(this.#logits, combiner);
      const weight = this.#weigher.weigh(sample, this.#decoder.campaign, logit);
      if (sample.seq > this.#options.heldOutAfter) {
        const champion = judge(this.#options.champion, this.#decoder);
        this.#heldOut.add(label, champion, { p: sigmoid(logit), threshold: this.#threshold() });
      }
      if (this.#seen >= REPEAT_BELOW || !this.#settled(label, logit))
        this.#learner.learn(this.#decoder, this.#logits, label, weight);
      if (this.#seen % REHEARSE_EVERY === 0) this.#background.rehearse(sample.features);
      this.#learned++;
      this.#labelWeight += weight;
      this.#keep({ label, features: sample.features, weight });
    }
  }

  /**
   * Once the log is learned: the next slice of what is left (repetitions of a short log, the last judgements). False when
   * all is done.
   */
  more(): boolean {
    const rounds =
      this.#seen < REPEAT_BELOW ? Math.min(REPEAT_MAX, Math.ceil(REPEAT_BELOW / Math.max(1, this.#seen))) : 1;
    if (this.#round < rounds && this.#kept.length > 0) {
      const end = Math.min(this.#kept.length, this.#place + SLICE);
      for (; this.#place < end; this.#place++) this.#repeat(this.#kept[this.#place]!);
      if (this.#place === this.#kept.length) {
        this.#place = 0;
        this.#round++;
      }
      return true;
    }
    const { golden, champion } = this.#options;
    const candidate: Judge = { ...this.#candidate, thresholds: { spam: this.#threshold() } };
    const kept = this.#kept.length;
    const end = Math.min(kept + golden.length, this.#judged + SLICE);
    for (; this.#judged < end; this.#judged++) {
      if (this.#judged < kept) {
        const one = this.#kept[this.#judged]!;
        if (this.#decoder.decode(one.features))
          this.#fit.add(one.label, judge(champion, this.#decoder), judge(candidate, this.#decoder));
      } else if (kept > 0) {
        // As if they had come the way local mail comes: a candidate may not condemn the way.
        const one = golden[this.#judged - kept]!;
        if (this.#graft.decode(one.features, this.#kept[this.#judged % kept]!.features))
          this.#golden.add(one.label, judge(champion, this.#graft), judge(candidate, this.#graft));
      }
    }
    return this.#judged < this.#kept.length + golden.length;
  }

  /** The candidate and what its gate needs. Call when `more` has said false. */
  result(): { readonly artefact: Artefact; readonly gate: GateInput } {
    const { start, startId } = this.#options;
    return {
      artefact: {
        schema: SCHEMA,
        weights: this.#candidate.weights,
        squares: this.#learner.levels(),
        combiner: start.combiner,
        thresholds: { spam: this.#threshold() },
        parent: startId,
        trainedTo: this.#trainedTo,
        labels: start.labels + this.#learned,
        labelWeight: start.labelWeight + this.#labelWeight,
      },
      gate: {
        heldOut: this.#heldOut,
        fit: this.#fit,
        golden: this.#golden,
        championLabels: this.#options.champion.labels,
      },
    };
  }

  #threshold(): number {
    const { start } = this.#options;
    return Math.min(start.thresholds.spam, thresholdFor(start.thresholds.spam, this.#labelWeight));
  }

  #settled(label: 'spam' | 'ham', logit: number): boolean {
    if (label === 'ham') return logit <= HAM_LOGIT;
    const threshold = this.#threshold();
    return logit >= Math.log(threshold / (1 - threshold)) + SPAM_MARGIN;
  }

  #keep(sample: Kept): void {
    this.#seen++;
    this.#kept.push(sample);
    if (this.#kept.length > 2 * KEPT_MAX) this.#kept = this.#kept.slice(-KEPT_MAX);
  }

  #repeat(sample: Kept): void {
    if (!this.#decoder.decode(sample.features)) return;
    this.#candidate.weights.logits(this.#decoder, this.#logits);
    if (!this.#settled(sample.label, combine(this.#logits, this.#candidate.combiner)))
      this.#learner.learn(this.#decoder, this.#logits, sample.label, sample.weight);
    this.#background.rehearse(sample.features);
  }
}
