/** Gathers features for a moment and inserts them together: a message costs a part of a request, and none waits for it. */

import { TemporaryError } from '../../core/mail/errors.ts';
import type { SampleFeatures } from '../../core/ports/sample-store.ts';
import type { Collection } from './mongo-collection.ts';

export interface FeaturesDocument extends Omit<SampleFeatures, 'key' | 'features'> {
  /** The sample's key. */
  readonly _id: string;
  readonly data: Uint8Array;
  /** A label was given for it, or is about to be. False proves nothing: the label may have come first. */
  readonly labelled: boolean;
}

const GATHER_MS = 25;
const BATCH = 100;
/** Beyond it the store is not keeping up or away, and features are what mail can do without. */
const WAITING_MAX = 2000;

interface Waiting {
  readonly document: FeaturesDocument;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class FeatureInserter {
  readonly #features: Collection<FeaturesDocument>;
  #waiting: Waiting[] = [];
  #timer: NodeJS.Timeout | undefined;
  #inserting: Promise<void> | undefined;

  constructor(features: Collection<FeaturesDocument>) {
    this.#features = features;
  }

  /** Resolves when they are inserted, or were there already. */
  insert(document: FeaturesDocument): Promise<void> {
    if (this.#waiting.length >= WAITING_MAX)
      return Promise.reject(new TemporaryError('storeUnavailable', { detail: 'too many features wait to be stored' }));
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#waiting.push({ document, resolve, reject });
    if (this.#waiting.length >= BATCH) this.#start();
    else this.#timer ??= setTimeout(() => this.#start(), GATHER_MS);
    return promise;
  }

  async close(): Promise<void> {
    this.#start();
    await this.#inserting;
  }

  #start(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#inserting ??= this.#run().finally(() => {
      this.#inserting = undefined;
    });
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, BATCH);
      try {
        await this.#features.insertMany(batch.map(({ document }) => document));
        for (const { resolve } of batch) resolve();
      } catch (error) {
        for (const { reject } of [...batch, ...this.#waiting.splice(0)]) reject(error);
      }
    }
  }
}
