/**
 * The embedded model store: one file per artefact, named by its hash, and one small index file. Both are written beside
 * their place, fsynced and renamed, the artefact first, so a crash leaves the index before or the index after and never
 * an entry without its bytes.
 */

import { createHash } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ClientError, Fault, TemporaryError } from '../../core/mail/errors.ts';
import { type ModelId, modelId } from '../../core/mail/ids.ts';
import type { Damage } from '../../core/ports/blob-store.ts';
import type { ModelEvent, ModelInfo, ModelState, ModelStore } from '../../core/ports/model-store.ts';

interface Index {
  readonly format: 1;
  /** Version of the next model: never used again, whatever was pruned. */
  readonly next: number;
  readonly active: ModelId | null;
  readonly models: readonly ModelInfo[];
  /** Oldest first. */
  readonly events: readonly ModelEvent[];
}

const INDEX = 'index.json';
const SUFFIX = '.model';
/** Older events are dropped. */
const EVENTS_MAX = 2000;
const EMPTY: Index = { format: 1, next: 1, active: null, models: [], events: [] };

export class EmbeddedModelStore implements ModelStore {
  readonly #folder: string;
  #index: Index = EMPTY;
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
      const known = this.#find(id);
      // Bytes that are damaged are put right by the way.
      if (known === undefined || !(await this.#isSound(id))) await this.#write(id + SUFFIX, artefact);
      if (known !== undefined) return known;
      const model: ModelInfo = {
        id,
        version: this.#index.next,
        state: 'candidate',
        parent: info.parent,
        schema: info.schema,
        trainedTo: info.trainedTo,
        createdAt: info.createdAt,
        sizeBytes: artefact.length,
        metrics: info.metrics,
        reason: 'made',
      };
      const event = eventOf(model, null, 'trainer', 'made', info.createdAt);
      await this.#save({ ...this.#index, next: model.version + 1, models: [...this.#index.models, model] }, [event]);
      return model;
    });
  }

  async load(id: ModelId): Promise<Uint8Array> {
    if (this.#find(id) === undefined) throw new Fault('no such model', { model: id });
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
    return this.#index.active === null ? undefined : this.#find(this.#index.active);
  }

  activate(id: ModelId, who: string, why: string, at: number): Promise<ModelInfo> {
    return this.#change(async () => {
      const model = this.#require(id);
      if (this.#index.active === id) return model;
      // The bytes must be there before anything is made to depend on them.
      await stat(join(this.#folder, id + SUFFIX)).catch((error) => {
        throw new Fault('the model cannot be read', { model: id }, error);
      });
      const events = [eventOf(model, model.state, who, why, at, 'active')];
      const models = this.#index.models.map((one): ModelInfo => {
        if (one.id === id) return { ...one, state: 'active', reason: why };
        if (one.id !== this.#index.active) return one;
        const reason = `replaced by version ${model.version}`;
        events.unshift(eventOf(one, 'active', who, reason, at, 'retired'));
        return { ...one, state: 'retired', reason };
      });
      await this.#save({ ...this.#index, active: id, models }, events);
      return this.#require(id);
    });
  }

  reject(id: ModelId, who: string, why: string, at: number): Promise<ModelInfo> {
    return this.#change(async () => {
      const model = this.#require(id);
      if (model.state === 'rejected') return model;
      if (model.state !== 'candidate') throw new ClientError('conflict', { model: id, state: model.state });
      const models = this.#index.models.map(
        (one): ModelInfo => (one.id === id ? { ...one, state: 'rejected', reason: why } : one),
      );
      await this.#save({ ...this.#index, models }, [eventOf(model, model.state, who, why, at, 'rejected')]);
      return this.#require(id);
    });
  }

  async list(): Promise<readonly ModelInfo[]> {
    return [...this.#index.models].sort((a, b) => b.version - a.version);
  }

  async events(limit: number): Promise<readonly ModelEvent[]> {
    return this.#index.events.slice(-Math.max(1, limit)).reverse();
  }

  prune(keep: number): Promise<number> {
    return this.#change(async () => {
      const newest = [...this.#index.models].sort((a, b) => b.version - a.version).slice(0, Math.max(0, keep));
      const kept = new Set(newest.map((model) => model.id));
      const active = this.#index.active === null ? undefined : this.#find(this.#index.active);
      if (active !== undefined) kept.add(active.id);
      if (active !== undefined && active.parent !== null) kept.add(active.parent);
      const gone = this.#index.models.filter((model) => !kept.has(model.id));
      if (gone.length === 0) return 0;
      await this.#save({ ...this.#index, models: this.#index.models.filter((model) => kept.has(model.id)) }, []);
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

  #find(id: ModelId): ModelInfo | undefined {
    return this.#index.models.find((model) => model.id === id);
  }

  #require(id: ModelId): ModelInfo {
    const model = this.#find(id);
    if (model === undefined) throw new ClientError('notFound', { model: id });
    return model;
  }

  #change<T>(change: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(change, change);
    this.#tail = result.catch(() => undefined);
    return result;
  }

  async #save(index: Index, events: readonly ModelEvent[]): Promise<void> {
    const next: Index = { ...index, events: [...index.events, ...events].slice(-EVENTS_MAX) };
    await this.#write(INDEX, Buffer.from(JSON.stringify(next)));
    this.#index = next;
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

const eventOf = (
  model: ModelInfo,
  from: ModelState | null,
  who: string,
  why: string,
  at: number,
  to: ModelState = model.state,
): ModelEvent => ({ at, model: model.id, version: model.version, from, to, who, why });

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

function parseIndex(text: string, folder: string): Index {
  try {
    const index = JSON.parse(text) as Index;
    if (index.format === 1 && Array.isArray(index.models) && Array.isArray(index.events)) return index;
  } catch {
    throw unusable(folder, 'is broken');
  }
  throw unusable(folder, 'is of another format');
}
