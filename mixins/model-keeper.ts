/**
 * The model that this node scores with. It is loaded, tried on nothing-special input and then exchanged by one
 * assignment between two messages; the one before stays in memory, so going back is the same assignment.
 */

import type { LoadedModel } from '../core/filter/spam.ts';
import type { ModelId } from '../core/mail/ids.ts';
import type { ModelInfo, ModelStore } from '../core/ports/model-store.ts';
import { decodeArtefact } from '../core/spam/artefact.ts';
import { seedModel } from './seed-model.ts';

/** Models kept in memory: the one in use and the one before. */
const RESIDENT_MAX = 2;

export class ModelKeeper {
  readonly #store: ModelStore;
  readonly #threshold: number | null;
  readonly #now: () => number;
  readonly #resident = new Map<ModelId, LoadedModel>();
  #current: LoadedModel | undefined;

  /** @param threshold from which probability on a message is junk; null: each model's own */
  constructor(store: ModelStore, threshold: number | null, now: () => number) {
    this.#store = store;
    this.#threshold = threshold;
    this.#now = now;
  }

  /** The model in use. Call `refresh` once before. */
  get current(): LoadedModel {
    return this.#current!;
  }

  /**
   * At the start. When the active model can't be read, that is reported, and the newest one that was active before and
   * can be read is activated in its place: mail is judged by an older model rather than by none.
   */
  async open(report: (error: unknown) => void): Promise<void> {
    try {
      await this.refresh();
    } catch (error) {
      report(error);
      await this.#replaceActive(report);
      await this.refresh();
    }
  }

  async #replaceActive(report: (error: unknown) => void): Promise<void> {
    const why = `version ${(await this.#store.active())?.version} can not be read`;
    for (const { id, state } of await this.#store.list()) {
      if (state !== 'retired') continue;
      try {
        await this.#store.load(id);
        await this.#store.activate(id, 'mailmesh', why, this.#now());
        return;
      } catch (error) {
        report(error);
      }
    }
    await this.#plantSeed();
  }

  /** Takes up the active model; a store that has none gets the seed. True when it is another one than before. */
  async refresh(): Promise<boolean> {
    const active = (await this.#store.active()) ?? (await this.#plantSeed());
    if (active.id === this.#current?.id) return false;
    this.#current = await this.#load(active);
    return true;
  }

  async #load(info: ModelInfo): Promise<LoadedModel> {
    const model = this.#resident.get(info.id) ?? (await this.#read(info));
    this.#resident.delete(info.id);
    this.#resident.set(info.id, model);
    if (this.#resident.size > RESIDENT_MAX) this.#resident.delete(this.#resident.keys().next().value!);
    return model;
  }

  async #read({ id, version }: ModelInfo): Promise<LoadedModel> {
    const artefact = decodeArtefact(await this.#store.load(id));
    const thresholds = this.#threshold === null ? artefact.thresholds : { spam: this.#threshold };
    return { id, version, artefact: { ...artefact, thresholds } };
  }

  async #plantSeed(): Promise<ModelInfo> {
    const { bytes, artefact } = await seedModel();
    const at = this.#now();
    const info = await this.#store.put(bytes, {
      parent: null,
      schema: artefact.schema,
      trainedTo: 0,
      createdAt: at,
      metrics: {},
    });
    return this.#store.activate(info.id, 'mailmesh', 'the model that the program ships', at);
  }
}
