/**
 * Brings a database's documents to a newer format, beside nodes that work. First the document `migration` keeps out programs
 * that do not know it; then, when no such program is alive, the number is raised, at which nodes begin to write the newer
 * form; when all of them do, each step goes through its collection, and a cursor in that document says how far. It may be
 * killed anywhere and run again, twice or by two at once: a document that has the newer form is left as it is.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { ClientError, Fault } from '../../core/mail/errors.ts';
import type { Mongo } from './mongo.ts';
import type { Collection } from './mongo-collection.ts';
import type { Filter, Identified, Query, Update } from './mongo-types.ts';
import { SESSIONS, type Session } from './queue-sessions.ts';

type Stored = Identified & Readonly<Record<string, unknown>>;

/** One collection's way to a newer format. Never changed once released. */
export interface MigrationStep {
  /** The format that it leads to, from the one before. */
  readonly to: number;
  readonly collection: string;
  /**
   * What makes one document new; undefined where it is. The filter names, beside `_id`, something that every write changes,
   * of nodes and of the step itself, so that no change in between is undone: the document is then read again.
   */
  readonly change: (
    document: Stored,
  ) => { readonly filter: Filter<Stored>; readonly update: Update<Stored> } | undefined;
}

/** Of this program, in the order in which they are made. */
export const STEPS: readonly MigrationStep[] = [];

interface MigrationProgress {
  readonly to: number;
  readonly collection: string;
  /** Documents looked at and changed since the migration to this format began, over all of its runs. */
  readonly looked: number;
  readonly changed: number;
}

interface MigrationReport {
  /** Of the database, when it is over. */
  readonly format: number;
  /** Likewise over all runs of the migrations that were ended now. */
  readonly looked: number;
  readonly changed: number;
  /** A run before was cut off, and gone on with. */
  readonly resumed: boolean;
}

interface Cursor extends Identified {
  readonly to: number;
  readonly step: number;
  readonly after: string;
  readonly looked: number;
  readonly changed: number;
}

interface MigrationOptions {
  readonly mongo: Pick<Mongo, 'collection' | 'record' | 'now'>;
  readonly steps: readonly MigrationStep[];
  readonly told: (progress: MigrationProgress) => void;
  /** How long a write may take that began before its node saw the number. Only tests give another. */
  readonly settleMs?: number;
}

const PAGE = 100;
/** More than any operation takes: see mongo-collection.ts. */
const SETTLE_MS = 10_000;
const LOOK_MS = 250;
/** A document that changes under its step more often than this is not changed by others, but never becomes new. */
const ATTEMPTS = 100;

type Cursors = Collection<Cursor>;

/** @throws ClientError conflict while a program is alive that does not know the newer format; nothing has changed then */
export async function runMigrations(options: MigrationOptions): Promise<MigrationReport> {
  const { mongo, steps, told, settleMs = SETTLE_MS } = options;
  const { record } = mongo;
  const cursors: Cursors = mongo.collection<Cursor>('meta');
  let [looked, changed, resumed] = [0, 0, false];
  for (;;) {
    await record.refresh();
    if (record.trouble !== null) throw new ClientError('conflict', { detail: record.trouble });
    const unfinished = await cursors.findOne({ _id: 'migration' });
    if (unfinished === undefined && record.format === record.knows)
      return { format: record.format, looked, changed, resumed };
    const to = unfinished?.to ?? record.format + 1;
    resumed ||= unfinished !== undefined;
    await cursors.insertOne({ _id: 'migration', to, step: 0, after: '', looked: 0, changed: 0 });
    await raise(mongo, cursors, to);
    await isWritten(mongo, to);
    // What a node began to write before it saw the number is there by then.
    await sleep(settleMs);
    const done = await makeSteps(mongo, cursors, { to, steps: steps.filter((step) => step.to === to), told });
    await cursors.deleteOne({ _id: 'migration', to });
    looked += done.looked;
    changed += done.changed;
  }
}

const alive = async (mongo: MigrationOptions['mongo']): Promise<readonly Session[]> =>
  mongo.collection<Session>(SESSIONS).find({ filter: { until: { $gt: await mongo.now() }, gone: false } });

/** A node that starts writes its session and then reads what is wanted; here it is the other way round. */
async function raise(mongo: MigrationOptions['mongo'], cursors: Cursors, to: number): Promise<void> {
  const older = (await alive(mongo)).find(({ knows }) => knows < to);
  if (older !== undefined) {
    if (mongo.record.format < to) await cursors.deleteOne({ _id: 'migration', to });
    const detail = `node ${older.node} does not know format ${to}: it must have this version first`;
    throw new ClientError('conflict', { detail });
  }
  await mongo.record.raise(to);
}

/** Resolves when all nodes write the format, or are gone. */
async function isWritten(mongo: MigrationOptions['mongo'], to: number): Promise<void> {
  while ((await alive(mongo)).some(({ writes }) => writes < to)) await sleep(LOOK_MS);
}

async function makeSteps(
  mongo: MigrationOptions['mongo'],
  cursors: Cursors,
  { to, steps, told }: Pick<MigrationOptions, 'steps' | 'told'> & { readonly to: number },
): Promise<{ readonly looked: number; readonly changed: number }> {
  const cursor = await cursors.findOne({ _id: 'migration' });
  let { step: place, after, looked, changed } = cursor ?? { step: 0, after: '', looked: 0, changed: 0 };
  for (let step = steps[place]; step !== undefined; step = steps[place]) {
    const documents = mongo.collection<Stored>(step.collection);
    const page = await found(documents, { filter: { _id: { $gt: after } }, sort: { _id: 1 }, limit: PAGE });
    looked += page.length;
    changed += await makeNew(documents, page, step);
    if (page.length === PAGE) after = page.at(-1)!._id;
    else {
      place++;
      after = '';
    }
    await cursors.updateOne({ _id: 'migration', to }, { $set: { step: place, after, looked, changed } });
    told({ to, collection: step.collection, looked, changed });
  }
  return { looked, changed };
}

const found = async (documents: Collection<Stored>, query: Query<Stored, string>): Promise<readonly Stored[]> =>
  (await documents.find(query)) as unknown as readonly Stored[];

/** @returns how many were changed by this call */
async function makeNew(
  documents: Collection<Stored>,
  page: readonly Stored[],
  { collection, change }: MigrationStep,
): Promise<number> {
  let changed = 0;
  let rest = page;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const changes = rest.flatMap((document) => {
      const made = change(document);
      return made === undefined ? [] : [{ _id: document._id, ...made }];
    });
    if (changes.length === 0) return changed;
    const made = changes.map(({ _id, filter, update }) => ({ updateOne: { filter: { ...filter, _id }, update } }));
    changed += (await documents.bulk(made)).modified;
    // Those that others have changed meanwhile are still old; of the others that is seen at once.
    rest = await found(documents, { filter: { _id: { $in: changes.map(({ _id }) => _id) } } });
  }
  throw new Fault('a step of a migration does not make its documents new', { collection });
}
