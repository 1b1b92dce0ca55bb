/**
 * The stand-in for MongoDB that the tests use, with what sizing needs beside it: which indexes the stores make, and
 * collections that the real client's GridFS can write to.
 */

import type { Mongo } from '../../drivers/cluster/mongo.ts';
import { MemoryMongo } from '../../test/support/memory-mongo.ts';

export type Doc = Readonly<Record<string, unknown>>;
export type IndexFields = readonly string[];

type MemoryCollection = ReturnType<MemoryMongo['collection']>;

/** What GridFS asks of a collection when it writes. The stores read what it wrote as they read everything. */
class GridCollection {
  /** As they came: their _id is no string. */
  readonly docs: Doc[] = [];
  readonly #twin: MemoryCollection;

  constructor(twin: MemoryCollection) {
    this.#twin = twin;
  }

  async findOne(): Promise<null> {
    return null;
  }

  listIndexes() {
    return { toArray: async () => [] };
  }

  createIndex(fields: object): Promise<void> {
    return (this.#twin.createIndex as (fields: object) => Promise<void>)(fields);
  }

  async insertOne(doc: Doc): Promise<void> {
    this.docs.push({ ...doc });
    await this.#twin.insertOne({ ...doc, _id: String(doc._id) });
  }
}

export class RecordingMongo extends MemoryMongo {
  readonly #collections = new Map<string, MemoryCollection>();
  readonly #indexes = new Map<string, IndexFields[]>();
  readonly #grid = new Map<string, GridCollection>();
  override readonly db = {
    command: async () => ({ storageSize: 1 }),
    collection: (name: string) => this.#gridCollection(name),
  };

  get asMongo(): Mongo {
    return this as unknown as Mongo;
  }

  override collection(name: string): MemoryCollection {
    const known = this.#collections.get(name);
    if (known !== undefined) return known;
    const found = super.collection(name);
    this.#collections.set(name, found);
    // Every collection has this one.
    const indexes: IndexFields[] = [['_id']];
    this.#indexes.set(name, indexes);
    found.createIndex = async (fields?: object) => {
      const names = Object.keys(fields ?? {});
      if (!indexes.some((known) => known.join() === names.join())) indexes.push(names);
    };
    return found;
  }

  get names(): readonly string[] {
    return [...this.#indexes.keys()];
  }

  /** Of a collection whose store has been opened. */
  indexesOf(name: string): readonly IndexFields[] {
    return this.#indexes.get(name) ?? [];
  }

  async documents(name: string): Promise<readonly Doc[]> {
    return this.#grid.get(name)?.docs ?? (await this.collection(name).find({ filter: {} }));
  }

  #gridCollection(name: string): GridCollection {
    const found = this.#grid.get(name) ?? new GridCollection(this.collection(name));
    this.#grid.set(name, found);
    return found;
  }
}
