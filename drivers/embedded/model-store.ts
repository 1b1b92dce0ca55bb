/**
 * The embedded model store: one file per artefact, named by its hash, and one small index file. Both are written beside
 * their place, fsynced and renamed, the artefact first, so a crash leaves the index before or the index after and never
 * an entry without its bytes.
 */

import { createHash } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Fault, TemporaryError } from '../../core/mail/errors.ts';
import { type ModelId, modelId } from '../../core/mail/ids.ts';
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

const INDEX = 'index.json';
const SUFFIX = '.model';

export class EmbeddedModelStore implements ModelStore {
  readonly #folder: string;
  #index: ModelIndex = NO_MODELS;
  /** Changes happen one after the other; this never rejects. */
  #tail: Promise<unknown> = Promise.resolve();

  constructor(options: { readonly folder: string }) {
    this.#folder = options.folder;
  }

  async open(): Promise<void> {
    await mkdir(this.#folder, { recursive: true });
    const names = await readdir(this.#folder);
    if (names.includes(INDEX))
      this.#index = parseIndex(await readFile(join(this.#folder, INDEX), 'utf8'), this.#folder);
    const wanted = new Set([INDEX, ...this.#index.models.map((model) => model.id + SUFFIX)]);
    // What a crash left behind: files that were not renamed, artefacts whose entry was not written or was pruned.
    for (const name of names)
      if (!wanted.has(name) && (name.endsWith('.tmp') || name.endsWith(SUFFIX))) await rm(join(this.#folder, name));
  }

  async close(): Promise<void> {
    await this.#tail;
  }

  put(
    artefact: Uint8Array,
    info: Pick<ModelInfo, 'parent' | 'schema' | 'trainedTo' | 'createdAt' | 'metrics'>,
  ): Promise<ModelInfo> {
    return this.#change(async () => {
      const id = hashOf(artefact);
      const known = findModel(this.#index, id);
      // Bytes that are damaged are put right by the way.
      if (known === undefined || !(await this.#isSound(id))) await this.#write(id + SUFFIX, artefact);
      if (known !== undefined) return known;
      await this.#save(withModel(this.#index, id, artefact.length, info));
      return this.#require(id);
    });
  }

  async load(id: ModelId): Promise<Uint8Array> {
    if (findModel(this.#index, id) === undefined) throw new Fault('no such model', { model: id });
    let bytes: Uint8Array;
    try {
      bytes = await readFile(join(this.#folder, id + SUFFIX));
    } catch (error) {
      throw new Fault('the model cannot be read', { model: id }, error);
    }
    if (hashOf(bytes) !== id) throw new Fault('the model differs from its hash', { model: id });
    return bytes;
  }

  async #isSound(id: ModelId): Promise<boolean> {
    try {
      await this.load(id);
      return true;
    } catch {
      return false;
    }
  }

  async active(): Promise<ModelInfo | undefined> {
    return findModel(this.#index, this.#index.active);
  }

  activate(id: ModelId, who: string, why: string, at: number): Promise<ModelInfo> {
    return this.#change(async () => {
      const next = withActive(this.#index, id, who, why, at);
      if (next === this.#index) return this.#require(id);
      // The bytes must be there before anything is made to depend on them.
      await stat(join(this.#folder, id + SUFFIX)).catch((error) => {
        throw new Fault('the model cannot be read', { model: id }, error);
      });
      await this.#save(next);
      return this.#require(id);
    });
  }

  reject(id: ModelId, who: string, why: string, at: number): Promise<ModelInfo> {
    return this.#change(async () => {
      const next = withRejected(this.#index, id, who, why, at);
      if (next !== this.#index) await this.#save(next);
      return this.#require(id);
    });
  }

  async list(): Promise<readonly ModelInfo[]> {
    return newestFirst(this.#index.models);
  }

  async events(limit: number): Promise<readonly ModelEvent[]> {
    return lastEvents(this.#index.events, limit);
  }

  prune(keep: number): Promise<number> {
    return this.#change(async () => {
      const next = withoutOld(this.#index, keep);
      const gone = this.#index.models.filter((model) => findModel(next, model.id) === undefined);
      if (gone.length === 0) return 0;
      await this.#save(next);
      for (const model of gone) await rm(join(this.#folder, model.id + SUFFIX), { force: true });
      return gone.length;
    });
  }

  async verify(): Promise<readonly Damage[]> {
    const damage: Damage[] = [];
    for (const { id, version } of this.#index.models) {
      try {
        await this.load(id);
      } catch (error) {
        const what = `${join(this.#folder, id + SUFFIX)} (model version ${version})`;
        damage.push({ what, detail: (error as Error).message, repaired: false });
      }
    }
    return damage;
  }

  backup(destination: string): Promise<void> {
    return this.#change(async () => {
      await mkdir(destination, { recursive: true });
      for (const model of this.#index.models)
        await writeSynced(destination, model.id + SUFFIX, await this.load(model.id));
      await writeSynced(destination, INDEX, Buffer.from(JSON.stringify(this.#index)));
    });
  }

  #require(id: ModelId): ModelInfo {
    return requireModel(this.#index, id);
  }

  #change<T>(change: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(change, change);
    this.#tail = result.catch(() => undefined);
    return result;
  }

  async #save(index: ModelIndex): Promise<void> {
    await this.#write(INDEX, Buffer.from(JSON.stringify(index)));
    this.#index = index;
  }

  async #write(name: string, bytes: Uint8Array): Promise<void> {
    try {
      await writeSynced(this.#folder, name, bytes);
    } catch (error) {
      const full = (error as NodeJS.ErrnoException).code === 'ENOSPC';
      throw new TemporaryError(full ? 'diskFull' : 'storeUnavailable', { file: name }, error);
    }
  }
}

const hashOf = (bytes: Uint8Array): ModelId => modelId(createHash('sha256').update(bytes).digest('hex'));

/** Resolves when the file, whole and under its name, survives power loss. */
async function writeSynced(folder: string, name: string, bytes: Uint8Array): Promise<void> {
  const temporary = join(folder, `${name}.tmp`);
  const file = await open(temporary, 'w');
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, join(folder, name));
  const directory = await open(folder, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

const unusable = (folder: string, detail: string): TemporaryError =>
  new TemporaryError('storeUnavailable', {
    file: join(folder, INDEX),
    detail: `${detail}; without it the shipped model is used and learns again from the labels`,
  });

function parseIndex(text: string, folder: string): ModelIndex {
  try {
    const index = JSON.parse(text) as ModelIndex;
    if (index.format === 1 && Array.isArray(index.models) && Array.isArray(index.events)) return index;
  } catch {
    throw unusable(folder, 'is broken');
  }
  throw unusable(folder, 'is of another format');
}
