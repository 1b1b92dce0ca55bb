/**
 * One turn of the learning loop: labels in force → candidate → gate → active or rejected. It works in slices of a few
 * milliseconds, so that mail goes on meanwhile, and one turn at a time.
 */

import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { ModelId } from '../core/mail/ids.ts';
import type { Artefact } from '../core/spam/artefact.ts';
import { decodeArtefact, encodeArtefact } from '../core/spam/artefact.ts';
import { gate } from '../core/spam/gate.ts';
import { heldOutAfter, Trainer } from '../core/spam/train.ts';
import type { NodeContext } from './context.ts';
import type { Result } from './contracts.ts';
import { seedModel } from './seed-model.ts';

/** Samples learned between two looks at the event loop: about 4 ms. */
const SLICE = 40;
const BATCH = 1_000;
/** Recent mail without labels that a short log is learned against. */
const RECENT = 300;
/** Up to this many labels the whole log is learned anew, so that withdrawn labels leave no trace. */
const REBUILD_MAX = 100_000;

export class LearningLoop {
  readonly #context: NodeContext;
  readonly #log: Logger;
  #running: Promise<Result<'model.retrain'>> | undefined;
  #lastAt: number;
  #lastSeq = 0;

  constructor(context: NodeContext) {
    this.#context = context;
    this.#log = context.log;
    this.#lastAt = context.now();
  }

  /** Whether enough labels or time have come together since the last turn. */
  async isDue(): Promise<boolean> {
    const { stores, config, now } = this.#context;
    const { lastSeq } = await stores.samples.stats();
    // Also turns of other nodes, and those whose model was rejected.
    const models = await stores.models.list();
    const trainedTo = models.reduce((most, model) => Math.max(most, model.trainedTo), this.#lastSeq);
    const fresh = lastSeq - trainedTo;
    if (fresh <= 0) return false;
    const trainedAt = models.reduce((latest, model) => Math.max(latest, model.createdAt), this.#lastAt);
    return fresh >= config.trainingLabelsMin || now() - trainedAt >= config.trainingIntervalMs;
  }

  /** Trains now; a turn that is already under way is waited for instead. */
  turn(who: string): Promise<Result<'model.retrain'>> {
    this.#running ??= this.#turn(who).finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #turn(who: string): Promise<Result<'model.retrain'>> {
    const { stores, now, config, metrics } = this.#context;
    const active = await stores.models.active();
    const { lastSeq } = await stores.samples.stats();
    this.#lastAt = now();
    this.#lastSeq = lastSeq;
    if (active === undefined) return { model: null, outcome: 'there is no model to start from' };
    if (lastSeq === 0) return { model: null, outcome: 'there are no labels yet' };
    const champion = decodeArtefact(await stores.models.load(active.id));
    const { artefact, verdict } = await this.#train(active.id, champion, lastSeq);
    const bytes = encodeArtefact(artefact);
    const candidate = await stores.models.put(bytes, {
      parent: active.id,
      schema: artefact.schema,
      trainedTo: artefact.trainedTo,
      createdAt: now(),
      metrics: verdict.metrics,
    });
    if (candidate.state === 'active') return { model: candidate, outcome: 'nothing new: the model is the active one' };
    const model = verdict.accept
      ? await stores.models.activate(candidate.id, who, verdict.reason, now())
      : await stores.models.reject(candidate.id, who, verdict.reason, now());
    await stores.models.prune(config.modelsKept);
    metrics.modelVersion.set((await stores.models.active())?.version ?? 0);
    const outcome = `${verdict.accept ? 'activated' : 'rejected'}: ${verdict.reason}`;
    this.#log.info({ model: model.id, version: model.version, outcome }, 'model.trained');
    return { model, outcome };
  }

  async #train(activeId: ModelId, champion: Artefact, lastSeq: number) {
    const { stores, now } = this.#context;
    const seed = await seedModel();
    const whole = lastSeq <= REBUILD_MAX;
    const start = whole ? seed.artefact : champion;
    const trainer = new Trainer({
      start,
      startId: whole ? null : activeId,
      champion,
      heldOutAfter: heldOutAfter(lastSeq, champion.trainedTo),
      golden: seed.golden,
      recent: (await stores.samples.unlabelled(RECENT)).map((sample) => sample.features),
      now: now(),
    });
    for (let after = start.trainedTo; ; ) {
      const samples = await stores.samples.samples(after, BATCH);
      for (let i = 0; i < samples.length; i += SLICE) {
        trainer.learn(samples.slice(i, i + SLICE));
        await nextTurn();
      }
      if (samples.length === 0) break;
      after = samples.at(-1)!.seq;
    }
    while (trainer.more()) await nextTurn();
    const { artefact, gate: input } = trainer.result();
    return { artefact, verdict: gate(input) };
  }
}
