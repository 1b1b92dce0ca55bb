/**
 * What keeps a few labels from colouring everything. Labels of one kind would teach that whatever they share is spam: the
 * server they came through, the hour's mail program. So a short log is learned together with a background: recent mail
 * that nobody labelled, and the golden messages as if they had come the same way; about these the candidate is held to
 * what its start thought of them. They are no labels and are never counted as such.
 */

import { FeatureDecoder } from './codec.ts';
import type { GoldenMessage } from './golden.ts';
import type { Learner } from './learner.ts';
import { sigmoid, type Weights } from './model.ts';
import { ENVIRONMENT_SIGNALS, type FeatureLists, GROUPS, ROUTE, SIGNAL, SIGNAL_STEPS, SIGNALS } from './schema.ts';

/** Against 1 for a label. */
const BACKGROUND_WEIGHT = 0.5;

/** One message's own features with another's way of coming: its route and its environment signals. */
export class Graft implements FeatureLists {
  readonly counts = new Int32Array(GROUPS.length);
  readonly lists: readonly Uint32Array[];
  readonly #message = new FeatureDecoder();
  readonly #way = new FeatureDecoder();
  readonly #signals = new Uint32Array(SIGNALS.length);

  constructor() {
    this.lists = GROUPS.map((_, group) =>
      group === ROUTE ? this.#way.lists[ROUTE]! : group === SIGNAL ? this.#signals : this.#message.lists[group]!,
    );
  }

  /** False when either is of another schema. */
  decode(message: Uint8Array, way: Uint8Array): boolean {
    if (!this.#message.decode(message) || !this.#way.decode(way)) return false;
    this.counts.set(this.#message.counts);
    this.counts[ROUTE] = this.#way.counts[ROUTE]!;
    let count = 0;
    const split = ENVIRONMENT_SIGNALS * SIGNAL_STEPS;
    for (let i = 0; i < this.#way.counts[SIGNAL]!; i++) {
      const bucket = this.#way.lists[SIGNAL]![i]!;
      if (bucket < split) this.#signals[count++] = bucket;
    }
    for (let i = 0; i < this.#message.counts[SIGNAL]!; i++) {
      const bucket = this.#message.lists[SIGNAL]![i]!;
      if (bucket >= split) this.#signals[count++] = bucket;
    }
    this.counts[SIGNAL] = count;
    return true;
  }
}

export class Background {
  readonly #start: Weights;
  readonly #learner: Learner;
  readonly #golden: readonly GoldenMessage[];
  readonly #recent: readonly Uint8Array[];
  readonly #graft = new Graft();
  readonly #decoder = new FeatureDecoder();
  readonly #logits = new Float64Array(GROUPS.length);
  readonly #targets = new Float64Array(GROUPS.length);
  #turn = 0;

  /** @param recent stored features of mail without labels */
  constructor(start: Weights, learner: Learner, golden: readonly GoldenMessage[], recent: readonly Uint8Array[]) {
    this.#start = start;
    this.#learner = learner;
    this.#golden = golden;
    this.#recent = recent;
  }

  /** To be called with each labelled message that is learned: rehearses one golden and one recent message. */
  rehearse(labelled: Uint8Array): void {
    const turn = this.#turn++;
    if (this.#golden.length > 0) {
      // A stride that shares no factor with the usual lengths, so that ham and spam take turns.
      const golden = this.#golden[(turn * 37) % this.#golden.length]!;
      if (this.#graft.decode(golden.features, labelled)) this.#hold(this.#graft);
    }
    if (this.#recent.length > 0 && this.#decoder.decode(this.#recent[turn % this.#recent.length]!))
      this.#hold(this.#decoder);
  }

  #hold(features: FeatureLists): void {
    this.#start.logits(features, this.#targets);
    for (let group = 0; group < this.#targets.length; group++) this.#targets[group] = sigmoid(this.#targets[group]!);
    this.#learner.weights.logits(features, this.#logits);
    this.#learner.learnTowards(features, this.#logits, this.#targets, BACKGROUND_WEIGHT);
  }
}
