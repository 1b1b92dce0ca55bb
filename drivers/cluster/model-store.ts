/**
 * The cluster's model store: the list of models with the pointer to the active one is one document that is only ever
 * replaced by comparing its revision, so of changes made at once each sees the one before; artefacts are blobs in
 * collections of their own, kept while the list names them. A backup is a folder that the embedded driver opens.
 */

import { hash } from 'node:crypto';
import { mkdir, open } from 'node:fs/promises';
import { join } from 'node:path';
import { Fault, TemporaryError } from '../../core/mail/errors.ts';
import { blobRef, type ModelId, modelId } from '../../core/mail/ids.ts';
import type { Damage } from '../../core/ports/blob-store.ts';
import type { ModelEvent, ModelInfo, ModelStore } from '../../core/ports/model-store.ts';
import {
  findModel,
  lastEvents,
  type ModelIndex,
  NO_MODELS,
  newestFirst,
  requireModel,
  withActive,
  withModel,
  withoutOld,
  withRejected,
} from '../model-index.ts';
import { BlobVault } from './blob-vault.ts';
import type { Mongo } from './mongo.ts';
import type { Collection } from './mongo-collection.ts';

interface IndexDocument extends ModelIndex {
  readonly _id: string;
  readonly rev: number;
}

const INDEX = 'index';
/** Changes are rare; so many lost races in a row are something else. */
const ATTEMPTS_MAX = 50;
/** Artefacts that nobody names stay for so long, since one is put before the list names it. */
const GRACE_MS = 86_400_000;
const COLLECT_MS = 5000;

export class ClusterModelStore implements ModelStore {
  readonly #indexes: Collection<IndexDocument>;
  readonly #artefacts: BlobVault;
  readonly #now: () => number;
  /** Changes of this node happen one after the other; this never rejects. */
  #tail: Promise<unknown> = Promise.resolve();

  constructor(options: { readonly mongo: Mongo; readonly now: () => number }) {
    this.#indexes = options.mongo.collection('models');
    this.#artefacts = new BlobVault(options.mongo, 'artefacts', options.now);
    this.#now = options.now;
  }

  async open(): Promise<void> {
    await this.#artefacts.open();
    // The first node to come makes it.
    await this.#indexes.insertOne({ _id: INDEX, rev: 0, ...NO_MODELS });
  }

  async close(): Promise<void> {
    await this.#tail;
    await this.#artefacts.close();
  }

  async put(
    artefact: Uint8Array,
    info: Pick<ModelInfo, 'parent' | 'schema' | 'trainedTo' | 'createdAt' | 'metrics'>,
  ): Promise<ModelInfo> {
    const id = modelId(hash('sha256', artefact, 'hex'));
    await this.#artefacts.put(artefact);
    // Bytes that are damaged are put right by the way.
    if (!(await this.#isSound(id))) {
      await this.#artefacts.verify(true);
      await this.#artefacts.put(artefact);
    }
    const index = await this.#change((before) =>
      findModel(before, id) === undefined ? withModel(before, id, artefact.length, info) : before,
    );
    return requireModel(index, id);
  }

  async load(id: ModelId): Promise<Uint8Array> {
    const model = findModel(await this.#index(), id);
    if (model === undefined) throw new Fault('no such model', { model: id });
    return this.#bytes(id, model.sizeBytes);
  }

  async active(): Promise<ModelInfo | undefined> {
    const index = await this.#index();
    return findModel(index, index.active);
  }

  async activate(id: ModelId, who: string, why: string, at: number): Promise<ModelInfo> {
    // The bytes must be there before anything is made to depend on them.
    const model = requireModel(await this.#index(), id);
    if ((await this.#artefacts.stat(blobRef(id))) === undefined)
      throw new Fault('the model cannot be read', { model: id, version: model.version });
    const index = await this.#change((before) => withActive(before, id, who, why, at));
    return requireModel(index, id);
  }

  async reject(id: ModelId, who: string, why: string, at: number): Promise<ModelInfo> {
    const index = await this.#change((before) => withRejected(before, id, who, why, at));
    return requireModel(index, id);
  }

  async list(): Promise<readonly ModelInfo[]> {
    return newestFirst((await this.#index()).models);
  }

  async events(limit: number): Promise<readonly ModelEvent[]> {
    const found = await this.#indexes.findOne({ _id: INDEX }, { fields: ['events'] });
    return lastEvents(found?.events ?? [], limit);
  }

  async prune(keep: number): Promise<number> {
    let gone = 0;
    const index = await this.#change((before) => {
      const after = withoutOld(before, keep);
      gone = before.models.length - after.models.length;
      return after;
    });
    const named = new Set(index.models.map((model) => blobRef(model.id)));
    await this.#artefacts.collect({
      ...{ now: this.#now(), graceMs: GRACE_MS, budgetMs: COLLECT_MS },
      isLive: async () => named,
    });
    return gone;
  }

  async verify(): Promise<readonly Damage[]> {
    const damage: Damage[] = [];
    for (const { id, version, sizeBytes } of (await this.#index()).models) {
      try {
        await this.#bytes(id, sizeBytes);
      } catch (error) {
        if (!(error instanceof Fault)) throw error;
        damage.push({ what: `model version ${version} (${id})`, detail: error.message, repaired: false });
      }
    }
    return damage;
  }

  async backup(destination: string): Promise<void> {
    const index = await this.#indexes.findOne({ _id: INDEX });
    const { format, next, active, models, events }: ModelIndex = index ?? NO_MODELS;
    await mkdir(destination, { recursive: true });
    for (const { id, sizeBytes } of models)
      await writeSynced(join(destination, `${id}.model`), await this.#bytes(id, sizeBytes));
    const text = JSON.stringify({ format, next, active, models, events });
    await writeSynced(join(destination, 'index.json'), Buffer.from(text));
    await syncFolder(destination);
  }

  async #isSound(id: ModelId): Promise<boolean> {
    try {
      const info = await this.#artefacts.stat(blobRef(id));
      return info !== undefined && (await this.#bytes(id, info.size)).length === info.size;
    } catch (error) {
      if (error instanceof Fault) return false;
      throw error;
    }
  }

  async #bytes(id: ModelId, size: number): Promise<Uint8Array> {
    const bytes = await this.#artefacts.read(blobRef(id), 0, size);
    if (hash('sha256', bytes, 'hex') !== id) throw new Fault('the model differs from its hash', { model: id });
    return bytes;
  }

  /** Without the events: it is asked for often, and they are the most of it. */
  async #index(): Promise<IndexDocument> {
    const fields = ['rev', 'format', 'next', 'active', 'models'] as const;
    const found = await this.#indexes.findOne({ _id: INDEX }, { fields });
    return { _id: INDEX, rev: 0, ...NO_MODELS, ...found };
  }

  /** Replaces the list by what `change` makes of it, again and again until nobody else has changed it in between. */
  #change(change: (index: ModelIndex) => ModelIndex): Promise<ModelIndex> {
    const attempt = async (): Promise<ModelIndex> => {
      for (let attempts = 1; attempts <= ATTEMPTS_MAX; attempts++) {
        const before = (await this.#indexes.findOne({ _id: INDEX })) ?? { _id: INDEX, rev: 0, ...NO_MODELS };
        const after = change(before);
        if (after === before) return after;
        const { next, active, models, events } = after;
        const rev = before.rev + 1;
        const set = { $set: { rev, next, active, models, events } };
        const { matched } = await this.#indexes.updateOne({ _id: INDEX, rev: before.rev }, set);
        if (matched > 0) return after;
      }
      throw new TemporaryError('conflict', { detail: 'the list of models changes all the time' });
    };
    const result = this.#tail.then(attempt);
    this.#tail = result.catch(() => undefined);
    return result;
  }
}

async function writeSynced(file: string, bytes: Uint8Array): Promise<void> {
  const handle = await open(file, 'w');
  try {
    await handle.writeFile(bytes);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
