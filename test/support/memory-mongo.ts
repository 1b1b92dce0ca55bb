/**
 * A stand-in for the connection to MongoDB, in memory: what the cluster stores ask of a collection, by our own reading of
 * what a server does, so it proves how a store treats the answers and never what a server answers. Every call takes its
 * effect at a moment of its own, one document at a time, and a read of many documents is no picture of one moment.
 */

import { ClusterRecord } from '../../drivers/cluster/cluster-record.ts';
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
    case '$ifNull':
      return args[0] ?? args[1];
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

/** Where a call stands: before all of its work, within it, or behind it with the answer on its way. */
export interface Moment {
  readonly collection: string;
  readonly method: string;
  readonly at: 'before' | 'within' | 'after';
}
/** What a call waits for at each moment. Where it rejects, what was done so far stays; where it never resolves, so does the call. */
export type Gate = (moment: Moment) => Promise<void>;

class Documents {
  readonly byId = new Map<string, Doc>();
  /** All _ids in order, while nothing was inserted or deleted. */
  sorted: readonly string[] | undefined;
}

class MemoryCollection {
  readonly #documents: Documents;
  readonly #name: string;
  readonly #gate: Gate | undefined;

  constructor(documents: Documents, name: string, gate: Gate | undefined) {
    this.#documents = documents;
    this.#name = name;
    this.#gate = gate;
  }

  get #docs(): Map<string, Doc> {
    return this.#documents.byId;
  }

  async #turn(method: string, at: Moment['at'] = 'before'): Promise<void> {
    if (this.#gate !== undefined) await this.#gate({ collection: this.#name, method, at });
    else if (at !== 'after') await turn();
  }

  #insert(doc: Doc): boolean {
    if (this.#docs.has(doc._id)) return false;
    this.#docs.set(doc._id, structuredClone(doc));
    this.#documents.sorted = undefined;
    return true;
  }

  /** What may match: an _id, a list or a range of them narrows it. */
  #candidates({ _id }: Spec): Iterable<Doc> {
    if (typeof _id === 'string') return [this.#docs.get(_id) ?? []].flat();
    if (!isSpec(_id)) return [...this.#docs.values()];
    if (Array.isArray(_id.$in)) return (_id.$in as string[]).flatMap((id) => this.#docs.get(id) ?? []);
    this.#documents.sorted ??= [...this.#docs.keys()].sort();
    const { sorted } = this.#documents;
    const [from, to] = [_id.$gte ?? _id.$gt, _id.$lte ?? _id.$lt] as [string?, string?];
    const start = from === undefined ? 0 : indexIn(sorted, from);
    const end = to === undefined ? sorted.length : indexIn(sorted, to) + 1;
    return sorted.slice(start, end).map((id) => this.#docs.get(id)!);
  }

  #update(filter: Spec, update: Spec, upsert: boolean, many: boolean) {
    if (upsert && '$expr' in filter) throw new Error('$expr is not allowed in the query predicate for an upsert');
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
      this.#documents.sorted = undefined;
      deleted++;
      if (!many) break;
    }
    return deleted;
  }

  async insertOne(doc: Doc): Promise<boolean> {
    await this.#turn('insertOne');
    const inserted = this.#insert(doc);
    await this.#turn('insertOne', 'after');
    return inserted;
  }

  async insertMany(docs: readonly Doc[]): Promise<Set<string>> {
    const there = new Set<string>();
    for (const [i, doc] of docs.entries()) {
      if (i % WRITES_A_TURN === 0) await this.#turn('insertMany', i === 0 ? 'before' : 'within');
      if (!this.#insert(doc)) there.add(doc._id);
    }
    await this.#turn('insertMany', 'after');
    return there;
  }

  async find(query: { filter: Spec; sort?: Spec; limit?: number; fields?: readonly string[] }): Promise<Doc[]> {
    await this.#turn('find');
    const found: Doc[] = [];
    let read = 0;
    for (const { _id } of this.#candidates(query.filter)) {
      if (++read % DOCUMENTS_A_TURN === 0) await this.#turn('find', 'within');
      const doc = this.#docs.get(_id);
      if (doc !== undefined && matches(doc, query.filter)) found.push(structuredClone(doc));
    }
    const [by, direction] = Object.entries(query.sort ?? {})[0] ?? [];
    if (by !== undefined) found.sort((a, b) => compare(a[by], b[by]) * (direction as number));
    await this.#turn('find', 'after');
    const some = query.limit === undefined ? found : found.slice(0, query.limit);
    if (query.fields === undefined) return some;
    const names = new Set<string>(['_id', ...query.fields]);
    return some.map((doc) => Object.fromEntries(Object.entries(doc).filter(([name]) => names.has(name))) as Doc);
  }

  async findOne(filter: Spec, options: { fields?: readonly string[] } = {}): Promise<Doc | undefined> {
    return (await this.find({ filter, limit: 1, ...options }))[0];
  }

  async updateOne(filter: Spec, update: Spec, options: { upsert?: boolean } = {}) {
    await this.#turn('updateOne');
    const result = this.#update(filter, update, options.upsert === true, false);
    await this.#turn('updateOne', 'after');
    return result;
  }

  async updateMany(filter: Spec, update: Spec) {
    await this.#turn('updateMany');
    const result = this.#update(filter, update, false, true);
    await this.#turn('updateMany', 'after');
    return result;
  }

  async findOneAndUpdate(filter: Spec, update: Spec, options: { upsert?: boolean } = {}): Promise<Doc | undefined> {
    await this.#turn('findOneAndUpdate');
    const found = [...this.#candidates(filter)].find((doc) => matches(doc, filter));
    const { matched, upserted } = this.#update(filter, update, options.upsert === true, false);
    const changed = matched > 0 ? found!._id : upserted ? (filter._id as string) : undefined;
    const after = changed === undefined ? undefined : structuredClone(this.#docs.get(changed));
    await this.#turn('findOneAndUpdate', 'after');
    return after;
  }

  async deleteOne(filter: Spec): Promise<boolean> {
    await this.#turn('deleteOne');
    const deleted = this.#delete(filter, false) > 0;
    await this.#turn('deleteOne', 'after');
    return deleted;
  }

  async deleteMany(filter: Spec): Promise<number> {
    await this.#turn('deleteMany');
    const deleted = this.#delete(filter, true);
    await this.#turn('deleteMany', 'after');
    return deleted;
  }

  async bulk(operations: readonly Record<string, Spec>[]) {
    const duplicates: number[] = [];
    let modified = 0;
    for (const [index, operation] of operations.entries()) {
      if (index % WRITES_A_TURN === 0) await this.#turn('bulk', index === 0 ? 'before' : 'within');
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
    if (operations.length > 0) await this.#turn('bulk', 'after');
    return { duplicates, modified };
  }

  async group({ filter, by, sums }: { filter: Spec; by: unknown; sums: Spec }): Promise<Doc[]> {
    await this.#turn('group');
    if (by !== null) throw new Error('not in this stand-in: groups');
    const docs = [...this.#docs.values()].filter((doc) => matches(doc, filter));
    await this.#turn('group', 'after');
    if (docs.length === 0) return [];
    const total = (sum: unknown): number => docs.reduce((all, doc) => all + Number(evaluate(doc, sum)), 0);
    return [
      Object.assign({ _id: '' }, Object.fromEntries(Object.entries(sums).map(([name, sum]) => [name, total(sum)]))),
    ];
  }

  async createIndex(): Promise<void> {
    await this.#turn('createIndex');
  }
}

/** What one server holds. */
class MemoryServer {
  readonly #collections = new Map<string, Documents>();

  documents(name: string): Documents {
    let found = this.#collections.get(name);
    if (found === undefined) {
      found = new Documents();
      this.#collections.set(name, found);
    }
    return found;
  }
}

export class MemoryMongo {
  readonly #server: MemoryServer;
  readonly #gate: Gate | undefined;
  readonly db = { command: async (): Promise<Spec> => ({ storageSize: 1 }) };
  readonly cluster = 'memory';
  #record: ClusterRecord | undefined;
  readonly warnings: readonly string[] = [];

  /** @param server an empty one where not given */
  constructor(server = new MemoryServer(), gate?: Gate) {
    this.#server = server;
    this.#gate = gate;
  }

  /** Who wants one that is there joins it first. */
  get record(): ClusterRecord {
    this.#record ??= new ClusterRecord(this.collection('meta') as never, 'memory');
    return this.#record;
  }

  static create(): Mongo {
    return MemoryMongo.server()();
  }

  /** An empty server: each call of what is given back is another connection to it, whose calls wait at its own gate. */
  static server(): (gate?: Gate) => Mongo {
    const server = new MemoryServer();
    return (gate) => new MemoryMongo(server, gate) as unknown as Mongo;
  }

  collection(name: string): MemoryCollection {
    return new MemoryCollection(this.#server.documents(name), name, this.#gate);
  }

  async now(): Promise<number> {
    return Date.now();
  }
}
