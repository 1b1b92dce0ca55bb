/**
 * The part of MongoDB's language that the cluster stores speak: comparisons, field updates and pipeline updates that
 * every server from MongoDB 6 on, and compatible ones, understand alike. What is not here does not compile.
 */

export interface Identified {
  readonly _id: string;
}

type Element<V> = V extends readonly (infer E)[] ? E : never;

interface Comparison<V> {
  readonly $eq?: V | null;
  readonly $ne?: V | Element<V> | null;
  readonly $gt?: V;
  readonly $gte?: V;
  readonly $lt?: V;
  readonly $lte?: V;
  readonly $in?: readonly (V | Element<V> | null)[];
  readonly $nin?: readonly (V | Element<V> | null)[];
  readonly $exists?: boolean;
}

type Condition<V> = V | Element<V> | null | Comparison<V>;

/** An expression over fields, such as `{ $lt: ['$until', { $toLong: '$$NOW' }] }`. */
export type Expression =
  | string
  | number
  | boolean
  | null
  | readonly Expression[]
  | { readonly [operator: string]: Expression };

export type Filter<T> = { readonly [K in keyof T]?: Condition<T[K]> } & {
  readonly [path: `${string}.${string}`]: unknown;
  readonly $or?: readonly Filter<T>[];
  readonly $and?: readonly Filter<T>[];
  readonly $expr?: Expression;
};

/** MongoDB refuses an upsert whose filter has `$expr`. */
export type UpsertFilter<T> = Filter<T> & { readonly $expr?: never };

type Fields<T> = Partial<Omit<T, '_id'>> & { readonly [path: `${string}.${string}`]: unknown };
type Numbers<T> = {
  readonly [K in keyof T as NonNullable<T[K]> extends number ? K : never]?: number;
} & { readonly [path: `${string}.${string}`]: number };
type Lists<T, Wrap extends 'each' | 'slice' | 'bare'> = {
  readonly [K in keyof T as NonNullable<T[K]> extends readonly unknown[] ? K : never]?: Wrap extends 'bare'
    ? readonly Element<NonNullable<T[K]>>[]
    : Wrap extends 'each'
      ? { readonly $each: readonly Element<NonNullable<T[K]>>[] }
      : { readonly $each: readonly Element<NonNullable<T[K]>>[]; readonly $slice?: number };
};

export interface FieldUpdate<T> {
  readonly $set?: Fields<T>;
  readonly $setOnInsert?: Fields<T>;
  readonly $unset?: { readonly [K in (keyof T & string) | `${string}.${string}`]?: true };
  readonly $inc?: Numbers<T>;
  readonly $min?: Numbers<T>;
  readonly $max?: Numbers<T>;
  readonly $addToSet?: Lists<T, 'each'>;
  readonly $push?: Lists<T, 'slice'>;
  readonly $pullAll?: Lists<T, 'bare'>;
}

/** Steps that see the document and the server's clock (`$$NOW`), made as one atomic change. */
type PipelineUpdate = readonly (
  | { readonly $set: { readonly [field: string]: Expression } }
  | { readonly $unset: string | readonly string[] }
)[];

export type Update<T> = FieldUpdate<T> | PipelineUpdate;

/** The fields of an index, in order. */
export type Index<T> = { readonly [K in (keyof T & string) | `${string}.${string}`]?: 1 | -1 };

/**
 * Where everything that may match lies. It is told to a server that keeps the collection by ranges of `_id`s on several
 * shards, for it to ask one of them, with the index to go by, since the range of `_id`s would be the longer way.
 */
export interface Shard<T> {
  readonly ids: { readonly $gte: string; readonly $lt: string };
  readonly index: Index<T>;
}

export type Sort<T> = { readonly [K in (keyof T & string) | `${string}.${string}`]?: 1 | -1 };

export interface Query<T, F extends keyof T> {
  readonly filter: Filter<T>;
  readonly sort?: Sort<T>;
  readonly limit?: number;
  /** Only these fields (and _id). */
  readonly fields?: readonly F[];
  readonly shard?: Shard<T>;
}

export interface Updated {
  readonly matched: number;
  readonly modified: number;
  /** It was made new by `upsert`. */
  readonly upserted: boolean;
  /** Nothing was changed: another document has the key that this one was to get (an upsert whose guard did not match, for example). */
  readonly duplicate: boolean;
}

export type BulkOperation<T> =
  | { readonly insertOne: { readonly document: T } }
  | { readonly updateOne: { readonly filter: Filter<T>; readonly update: Update<T>; readonly upsert?: false } }
  | { readonly updateOne: { readonly filter: UpsertFilter<T>; readonly update: Update<T>; readonly upsert: boolean } }
  | { readonly updateMany: { readonly filter: Filter<T>; readonly update: Update<T> } }
  | { readonly deleteOne: { readonly filter: Filter<T> } }
  | { readonly deleteMany: { readonly filter: Filter<T> } };

export interface BulkResult {
  readonly inserted: number;
  readonly matched: number;
  readonly modified: number;
  readonly upserted: number;
  readonly deleted: number;
  /** Places in the list of operations that met a key which was there already. */
  readonly duplicates: readonly number[];
}

/** `$match` by `filter`, then one group for each value of `by` (null: one for all) with the sums of expressions. */
export interface Grouping<T> {
  readonly filter: Filter<T>;
  readonly shard?: Shard<T>;
  readonly by: Expression;
  readonly sums: { readonly [name: string]: Expression };
  /** The least value of each expression. */
  readonly least?: { readonly [name: string]: Expression };
  readonly sort?: { readonly [name: string]: 1 | -1 };
  readonly limit?: number;
}
