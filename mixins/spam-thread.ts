/**
 * Runs the analysis of messages in a thread of its own, so that filtering leaves the event loop to connections. A thread
 * that ends is replaced at the next message; what it had is tried again by the stage.
 */

import { Worker } from 'node:worker_threads';
import type { LoadedModel } from '../core/filter/spam.ts';
import { Fault } from '../core/mail/errors.ts';
import type { ModelId } from '../core/mail/ids.ts';
import type { Analysis } from '../core/spam/analyse.ts';
import type { ExtractInput } from '../core/spam/extract.ts';
import type { FromThread, ToThread } from './spam-thread-worker.ts';

interface Waiting {
  readonly resolve: (analysis: Analysis) => void;
  readonly reject: (error: Error) => void;
}

/** Models that the thread holds: the one in use and the one before. */
const MODELS_MAX = 2;

export class SpamThread {
  readonly #load: (id: ModelId) => Promise<Uint8Array>;
  #worker: Worker | undefined;
  #waiting = new Map<number, Waiting>();
  #sent = new Map<ModelId, Promise<void>>();
  #outgoing: ToThread[] = [];
  #next = 1;

  /** @param load gives a model's artefact */
  constructor(load: (id: ModelId) => Promise<Uint8Array>) {
    this.#load = load;
  }

  async analyse(input: ExtractInput, { id }: Pick<LoadedModel, 'id'>): Promise<Analysis> {
    const worker = this.#worker ?? this.#start();
    await this.#bring(id);
    if (worker !== this.#worker) throw new Fault('the filter thread ended');
    return new Promise((resolve, reject) => {
      const n = this.#next++;
      this.#waiting.set(n, { resolve, reject });
      this.#send({ t: 'analyse', n, model: id, input });
    });
  }

  async close(): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    await worker?.terminate();
  }

  #start(): Worker {
    const worker = new Worker(new URL('./spam-thread-worker.ts', import.meta.url), {
      resourceLimits: { maxYoungGenerationSizeMb: 16 },
    });
    this.#worker = worker;
    worker.unref();
    worker.on('message', (answers: readonly FromThread[]) => {
      for (const { n, analysis, error } of answers) {
        const waiting = this.#waiting.get(n);
        this.#waiting.delete(n);
        if (analysis !== undefined) waiting?.resolve(analysis);
        else waiting?.reject(new Fault('the analysis of a message failed', { stack: error }));
      }
    });
    let isOver = false;
    const ended = (error?: Error): void => {
      // `error` is followed by `exit`, when another thread may be at work already.
      if (isOver) return;
      isOver = true;
      if (this.#worker === worker) this.#worker = undefined;
      const waiting = [...this.#waiting.values()];
      this.#waiting = new Map();
      this.#sent = new Map();
      this.#outgoing = [];
      for (const one of waiting) one.reject(new Fault('the filter thread ended', {}, error));
    };
    worker.on('error', (error: Error) => ended(error));
    worker.on('exit', () => ended());
    return worker;
  }

  /** The thread has the model before it is asked to use it. */
  #bring(id: ModelId): Promise<void> {
    const sent = this.#sent.get(id);
    if (sent !== undefined) return sent;
    const bringing = this.#load(id).then((bytes) => {
      const drop = this.#sent.size > MODELS_MAX ? this.#sent.keys().next().value! : null;
      if (drop !== null) this.#sent.delete(drop);
      this.#send({ t: 'model', id, bytes, drop });
    });
    this.#sent.set(id, bringing);
    bringing.catch(() => this.#sent.delete(id));
    return bringing;
  }

  /** One message to the thread for all of this turn of the event loop. */
  #send(message: ToThread): void {
    if (this.#outgoing.push(message) > 1) return;
    setImmediate(() => {
      const messages = this.#outgoing;
      this.#outgoing = [];
      this.#worker?.postMessage(messages);
    });
  }
}
