/**
 * A stand-in for the connection to MongoDB, in memory: what the cluster stores ask of a collection, by our own reading of
 * what a server does, so it proves how a store treats the answers and never what a server answers. Every call takes its
 * effect at a moment of its own, one document at a time, and a read of many documents is no picture of one moment.
 */

import type { Mongo } from '../../drivers/cluster/mongo.ts';

type Doc = { _id: string } & Record<string, unknown>;
type Spec = Record<string, unknown>;

const isSpec = (value: unknown): value is Spec =>
  typeof value === 'object' && value !== null && Object.keys(value).some((key) => key.startsWith('$'));

function compare(a: unknown, b: unknown): number {
  if (typeof a === 'string' && typeof b === 'string') return Buffer.compare(Buffer.from(a), Buffer.from(b));
  return typeof a === 'number' && typeof b === 'number' ? a - b : Number.NaN;
}

const same = (value: unknown, wanted: unknown): boolean =>
  value === wanted ||
  (wanted === null && value === undefined) ||
  (Array.isArray(value) && value.includes(wanted as never));

const TESTS: Record<string, (value: unknown, wanted: never) => boolean> = {
  $eq: same,
  $ne: (value, wanted) => !same(value, wanted),
  $gt: (value, wanted) => compare(value, wanted) > 0,
  $gte: (value, wanted) => compare(value, wanted) >= 0,
  $lt: (value, wanted) => compare(value, wanted) < 0,
  $lte: (value, wanted) => compare(value, wanted) <= 0,
  $in: (value, wanted: unknown[]) => wanted.some((one) => same(value, one)),
};

function evaluate(doc: Doc, expression: unknown): unknown {
  if (typeof expression === 'string' && expression.startsWith('$$NOW')) return new Date();
  if (typeof expression === 'string' && expression.startsWith('$')) return doc[expression.slice(1)];
  if (!isSpec(expression)) return expression;
  const [operator, operand] = Object.entries(expression)[0]!;
  if (operator === '$literal') return operand;
  const args = (Array.isArray(operand) ? operand : [operand]).map((one) => evaluate(doc, one));
  switch (operator) {
    case '$or':
      return args.some(Boolean);
    case '$eq':
      return args[0] === args[1];
    case '$lte':
      return compare(args[0], args[1]) <= 0;
    case '$add':
      return (args as number[]).reduce((sum, one) => sum + one, 0);
    case '$cond':
      return args[0] === true ? args[1] : args[2];
    case '$toLong':
      return Number(args[0]);
    default:
      throw new Error(`not in this stand-in: ${operator}`);
  }
}

function matches(doc: Doc, filter: Spec): boolean {
  return Object.entries(filter).every(([name, wanted]) => {
    if (name === '$or') return (wanted as Spec[]).some((one) => matches(doc, one));
    if (name === '$expr') return evaluate(doc, wanted) === true;
    if (!isSpec(wanted)) return same(doc[name], wanted);
    return Object.entries(wanted).every(([test, value]) => {
      const run = TESTS[test];
      if (run === undefined) throw new Error(`not in this stand-in: ${test}`);
      return run(doc[name], value as never);
    });
  });
}

function updated(doc: Doc, update: Spec | readonly Spec[], isNew: boolean): Doc {
  const after = structuredClone(doc);
  if (Array.isArray(update)) {
    for (const { $set } of update) {
      const before = structuredClone(after);
      for (const [name, value] of Object.entries($set as Spec))
        after[name as '_id'] = evaluate(before, value) as string;
    }
    return after;
  }
  const seen = new Set<string>();
  for (const [operator, fields] of Object.entries(structuredClone(update) as Record<string, Spec>)) {
    if (operator === '$setOnInsert' && !isNew) continue;
    for (const [name, value] of Object.entries(fields)) {
      if (seen.has(name)) throw new Error(`Updating the path '${name}' would create a conflict at '${name}'`);
      seen.add(name);
      after[name as '_id'] = changed(after[name], operator, value) as string;
    }
  }
  return after;
}

function changed(before: unknown, operator: string, value: unknown): unknown {
  switch (operator) {
    case '$set':
    case '$setOnInsert':
      return value;
    case '$inc':
      return ((before as number | undefined) ?? 0) + (value as number);
    case '$max':
      return before === undefined || compare(value, before) > 0 ? value : before;
    case '$min':
      return before === undefined || compare(value, before) < 0 ? value : before;
    case '$push': {
      const { $each, $slice } = value as { $each: unknown[]; $slice?: number };
      const list = [...((before as unknown[] | undefined) ?? []), ...$each];
      return $slice === undefined ? list : list.slice($slice);
    }
    default:
      throw new Error(`not in this stand-in: ${operator}`);
  }
}

/** Where the value stands or would stand. All of them are ASCII. */
function indexIn(sorted: readonly string[], value: string): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle]! < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Other calls get in between here. */
const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));
const DOCUMENTS_A_TURN = 50;
const WRITES_A_TURN = 3;

class MemoryCollection {
  readonly #docs = new Map<string, Doc>();

  /** All _ids in order, while nothing was inserted or deleted. */
  #sorted: readonly string[] | undefined;

  #insert(doc: Doc): boolean {
    if (this.#docs.has(doc._id)) return false;
    this.#docs.set(doc._id, structuredClone(doc));
    this.#sorted = undefined;
    return true;
  }

  /** What may match: an _id, a list or a range of them narrows it. */
  #candidates({ _id }: Spec): Iterable<Doc> {
    if (typeof _id === 'string') return [this.#docs.get(_id) ?? []].flat();
    if (!isSpec(_id)) return [...this.#docs.values()];
    if (Array.isArray(_id.$in)) return (_id.$in as string[]).flatMap((id) => this.#docs.get(id) ?? []);
    this.#sorted ??= [...this.#docs.keys()].sort();
    const [from, to] = [_id.$gte ?? _id.$gt, _id.$lte ?? _id.$lt] as [string?, string?];
    const start = from === undefined ? 0 : indexIn(this.#sorted, from);
    const end = to === undefined ? this.#sorted.length : indexIn(this.#sorted, to) + 1;
    return this.#sorted.slice(start, end).map((id) => this.#docs.get(id)!);
  }

  #update(filter: Spec, update: Spec, upsert: boolean, many: boolean) {
    const result = { matched: 0, modified: 0, upserted: false, duplicate: false };
    for (const doc of this.#candidates(filter)) {
      if (!matches(doc, filter)) continue;
      this.#docs.set(doc._id, updated(doc, update, false));
      result.matched++;
      result.modified++;
      if (!many) return result;
    }
    if (result.matched > 0 || !upsert) return result;
    const fresh = updated({ _id: filter._id as string }, update, true);
    result.upserted = this.#insert(fresh);
    result.duplicate = !result.upserted;
    return result;
  }

  #delete(filter: Spec, many: boolean): number {
    let deleted = 0;
    for (const doc of this.#candidates(filter)) {
      if (!matches(doc, filter)) continue;
      this.#docs.delete(doc._id);
      this.#sorted = undefined;
      deleted++;
      if (!many) break;
    }
    return deleted;
  }

  async insertOne(doc: Doc): Promise<boolean> {
    await turn();
    return this.#insert(doc);
  }

  async insertMany(docs: readonly Doc[]): Promise<Set<string>> {
    const there = new Set<string>();
    for (const [i, doc] of docs.entries()) {
      if (i % WRITES_A_TURN === 0) await turn();
      if (!this.#insert(doc)) there.add(doc._id);
    }
    return there;
  }

  async find(query: { filter: Spec; sort?: Spec; limit?: number; fields?: readonly string[] }): Promise<Doc[]> {
    await turn();
    const found: Doc[] = [];
    let read = 0;
    for (const { _id } of this.#candidates(query.filter)) {
      if (++read % DOCUMENTS_A_TURN === 0) await turn();
      const doc = this.#docs.get(_id);
      if (doc !== undefined && matches(doc, query.filter)) found.push(structuredClone(doc));
    }
    const [by, direction] = Object.entries(query.sort ?? {})[0] ?? [];
    if (by !== undefined) found.sort((a, b) => compare(a[by], b[by]) * (direction as number));
    const some = query.limit === undefined ? found : found.slice(0, query.limit);
    if (query.fields === undefined) return some;
    const names = new Set<string>(['_id', ...query.fields]);
    return some.map((doc) => Object.fromEntries(Object.entries(doc).filter(([name]) => names.has(name))) as Doc);
  }

  async findOne(filter: Spec, options: { fields?: readonly string[] } = {}): Promise<Doc | undefined> {
    return (await this.find({ filter, limit: 1, ...options }))[0];
  }

  async updateOne(filter: Spec, update: Spec, options: { upsert?: boolean } = {}) {
    await turn();
    return this.#update(filter, update, options.upsert === true, false);
  }

  async updateMany(filter: Spec, update: Spec) {
    await turn();
    return this.#update(filter, update, false, true);
  }

  async findOneAndUpdate(filter: Spec, update: Spec): Promise<Doc | undefined> {
    await turn();
    for (const doc of this.#candidates(filter)) {
      if (!matches(doc, filter)) continue;
      this.#docs.set(doc._id, updated(doc, update, false));
      return structuredClone(this.#docs.get(doc._id));
    }
    return undefined;
  }

  async deleteOne(filter: Spec): Promise<boolean> {
    await turn();
    return this.#delete(filter, false) > 0;
  }

  async deleteMany(filter: Spec): Promise<number> {
    await turn();
    return this.#delete(filter, true);
  }

  async bulk(operations: readonly Record<string, Spec>[]) {
    const duplicates: number[] = [];
    let modified = 0;
    for (const [index, operation] of operations.entries()) {
      if (index % WRITES_A_TURN === 0) await turn();
      const [name, of] = Object.entries(operation)[0]!;
      const filter = of.filter as Spec;
      if (name === 'insertOne') {
        if (!this.#insert(of.document as Doc)) duplicates.push(index);
      } else if (name.startsWith('update')) {
        const result = this.#update(filter, of.update as Spec, of.upsert === true, name === 'updateMany');
        modified += result.modified;
        if (result.duplicate) duplicates.push(index);
      } else this.#delete(filter, name === 'deleteMany');
    }
    return { duplicates, modified };
  }

  async group({ filter, by, sums }: { filter: Spec; by: unknown; sums: Spec }): Promise<Doc[]> {
    await turn();
    if (by !== null) throw new Error('not in this stand-in: groups');
    const docs = [...this.#docs.values()].filter((doc) => matches(doc, filter));
    if (docs.length === 0) return [];
    const total = (sum: unknown): number => docs.reduce((all, doc) => all + Number(evaluate(doc, sum)), 0);
    return [
      Object.assign({ _id: '' }, Object.fromEntries(Object.entries(sums).map(([name, sum]) => [name, total(sum)]))),
    ];
  }

  async createIndex(): Promise<void> {
    await turn();
  }
}

export class MemoryMongo {
  readonly #collections = new Map<string, MemoryCollection>();
  readonly db = { command: async (): Promise<Spec> => ({ storageSize: 1 }) };
  readonly cluster = 'memory';
  readonly warnings: readonly string[] = [];

  static create(): Mongo {
    return new MemoryMongo() as unknown as Mongo;
  }

  collection(name: string): MemoryCollection {
    let found = this.#collections.get(name);
    if (found === undefined) {
      found = new MemoryCollection();
      this.#collections.set(name, found);
    }
    return found;
  }

  async now(): Promise<number> {
    return Date.now();
  }
}
