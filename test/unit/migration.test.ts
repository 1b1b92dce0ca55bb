/**
 * A change of the documents' format in a mesh, against a stand-in in memory: cut off anywhere and gone on with, run twice, by
 * two at once and beside nodes that write. Each document is made new once, and none is left old.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ClientError, Fault } from '../../core/mail/errors.ts';
import { ClusterRecord } from '../../drivers/cluster/cluster-record.ts';
import { type MigrationStep, runMigrations } from '../../drivers/cluster/migration.ts';
import type { Mongo } from '../../drivers/cluster/mongo.ts';
import { DatabaseUnusable } from '../../drivers/cluster/mongo-errors.ts';
import { MemoryMongo } from '../support/memory-mongo.ts';

interface Thing {
  readonly _id: string;
  /** Changes with each write. */
  readonly mark: number;
  readonly form: number;
  /** How often a step has made it new. */
  readonly times: number;
}
/** A living node, and the formats that it reads and writes. */
interface QueueSession {
  readonly _id: string;
  readonly node: string;
  readonly until: number;
  readonly gone: boolean;
  readonly knows: number;
  readonly writes: number;
}
type Base = Pick<Mongo, 'collection' | 'now'>;
type Program = Base & { readonly record: ClusterRecord };

const COUNT = 450;

/** The second step of the format is there to be begun when the first has ended. */
const STEPS: readonly MigrationStep[] = ['things', 'others'].map((collection) => ({
  to: 2,
  collection,
  change: ({ mark, form }) =>
    form === 2 ? undefined : { filter: { mark, form }, update: { $set: { form: 2 }, $inc: { times: 1 } } as never },
}));

async function program(base: Base, knows: number): Promise<Program> {
  const record = new ClusterRecord(base.collection<never>('meta'), 'memory', knows);
  await record.join();
  return { collection: base.collection.bind(base), now: base.now.bind(base), record };
}

const thing = (n: number): Thing => ({ _id: `t${String(n).padStart(5, '0')}`, mark: 0, form: 1, times: 0 });

/** A database of the first format. */
async function database(): Promise<Base> {
  const base = MemoryMongo.create();
  await program(base, 1);
  for (const name of ['things', 'others'])
    await base.collection<Thing>(name).insertMany(Array.from({ length: COUNT }, (_, n) => thing(n)));
  return base;
}

const migrate = (mongo: Program, told: () => void = () => {}, steps = STEPS) =>
  runMigrations({ mongo, steps, told, settleMs: 0 });

const meta = (base: Base, id: string) =>
  base.collection<{ _id: string; format?: number; to?: number }>('meta').findOne({ _id: id });

async function allNew(base: Base): Promise<void> {
  for (const name of ['things', 'others']) {
    const things = await base.collection<Thing>(name).find({ filter: {} });
    assert.ok(things.length >= COUNT);
    assert.deepEqual(
      things.filter(({ form, times }) => form !== 2 || times > 1),
      [],
    );
  }
  assert.equal((await meta(base, 'cluster'))!.format, 2);
  assert.equal(await meta(base, 'migration'), undefined);
}

test('migration: each document is made new once, and a second run finds nothing to do', async () => {
  const base = await database();
  const mongo = await program(base, 2);
  const told: string[] = [];
  const progress = ({ collection, looked }: { collection: string; looked: number }) =>
    told.push(`${collection} ${looked}`);
  const done = await runMigrations({ mongo, steps: STEPS, told: progress, settleMs: 0 });
  assert.deepEqual(done, { format: 2, looked: 2 * COUNT, changed: 2 * COUNT, resumed: false });
  assert.deepEqual(told.slice(3, 7), ['things 400', 'things 450', 'others 550', 'others 650']);
  await allNew(base);
  assert.deepEqual(await migrate(mongo), { format: 2, looked: 0, changed: 0, resumed: false });
});

test('migration: cut off behind any batch, or within one, it goes on where it was', async () => {
  for (let cut = 1; cut <= 10; cut++) {
    const base = await database();
    let batches = 0;
    const end = () => {
      if (++batches === cut) throw new Error('killed');
    };
    await assert.rejects(migrate(await program(base, 2), end), /killed/);
    const mongo = await program(base, 2);
    const done = await migrate(mongo);
    // Its end was behind the last batch, before the migration's own.
    assert.deepEqual(done, { format: 2, looked: 2 * COUNT, changed: 2 * COUNT, resumed: true });
    await allNew(base);
  }
  const base = await database();
  let asked = 0;
  const breaking = STEPS.map((step) => ({
    ...step,
    change: (document: Parameters<MigrationStep['change']>[0]) => {
      if (++asked === 250) throw new Error('killed');
      return step.change(document);
    },
  }));
  await assert.rejects(
    migrate(await program(base, 2), () => {}, breaking),
    /killed/,
  );
  assert.equal((await migrate(await program(base, 2))).resumed, true);
  await allNew(base);
});

test('migration: two at once make each document new once', async () => {
  const base = await database();
  const runs = await Promise.all([migrate(await program(base, 2)), migrate(await program(base, 2))]);
  assert.deepEqual(
    runs.map(({ format }) => format),
    [2, 2],
  );
  await allNew(base);
});

test('migration: nodes that write meanwhile lose nothing and leave nothing old', async () => {
  const base = await database();
  const [mongo, node] = [await program(base, 2), await program(base, 2)];
  const things = base.collection<Thing>('things');
  let isOver = false;
  let inserted = COUNT;
  const written = new Map<string, number>();
  const writer = (async () => {
    for (let n = 0; !isOver; n++) {
      await node.record.refresh();
      const { format } = node.record;
      const { _id, mark, form } = (await things.findOne({ _id: thing((n * 37) % COUNT)._id }))!;
      const change = { $set: { mark: mark + 1, form: Math.max(form, format) } };
      if ((await things.updateOne({ _id, mark, form }, change)).matched > 0)
        written.set(_id, (written.get(_id) ?? 0) + 1);
      await things.insertOne({ ...thing(inserted++), form: format });
    }
  })();
  await migrate(mongo);
  isOver = true;
  await writer;
  await allNew(base);
  const found = new Map((await things.find({ filter: {} })).map(({ _id, mark }) => [_id, mark]));
  assert.ok(written.size > 5);
  for (const [id, times] of written) assert.equal(found.get(id), times);
  assert.equal(found.size, inserted);
});

test('migration: while a node is alive that does not know the format nothing changes, and it may be started again', async () => {
  const base = await database();
  const sessions = base.collection<QueueSession>('queue-sessions');
  await sessions.insertOne({ _id: 's', node: 'old-1', until: Date.now() + 60_000, gone: false, knows: 1, writes: 1 });
  const mongo = await program(base, 2);
  await assert.rejects(migrate(mongo), (error: unknown) => {
    assert.ok(error instanceof ClientError);
    assert.equal(error.facts.detail, 'node old-1 does not know format 2: it must have this version first');
    return true;
  });
  assert.deepEqual([(await meta(base, 'cluster'))!.format, await meta(base, 'migration')], [1, undefined]);
  await program(base, 1);
  await sessions.deleteOne({ _id: 's' });
  await migrate(mongo);
  await allNew(base);
});

test('migration: no document is changed before every living node writes the newer form', async () => {
  const base = await database();
  const sessions = base.collection<QueueSession>('queue-sessions');
  await sessions.insertOne({ _id: 's', node: 'slow', until: Date.now() + 60_000, gone: false, knows: 2, writes: 1 });
  let seen = false;
  const running = migrate(await program(base, 2), () => assert.ok(seen));
  while ((await meta(base, 'cluster'))!.format === 1);
  assert.equal((await base.collection<Thing>('things').find({ filter: { form: 2 } })).length, 0);
  seen = true;
  await sessions.updateOne({ _id: 's' }, { $set: { writes: 2 } });
  await running;
  await allNew(base);
});

test('migration: from its beginning on a program of the version before does not open the database', async () => {
  const base = await database();
  const before = await program(base, 1);
  await assert.rejects(
    migrate(await program(base, 2), () => assert.fail('killed')),
    /killed/,
  );
  await assert.rejects(program(base, 1), DatabaseUnusable);
  await before.record.refresh();
  const line = 'the MongoDB database at memory was made by a newer version (format 2, this one knows 1)';
  assert.equal(before.record.trouble, line);
  await assert.rejects(
    migrate(before),
    (error: unknown) => error instanceof ClientError && error.facts.detail === line,
  );
  await migrate(await program(base, 2));
  await allNew(base);
});

test('migration: a step that never ends is a fault', async () => {
  const base = await database();
  const broken = [{ ...STEPS[0]!, change: () => ({ filter: {}, update: { $set: { form: 1 } } as never }) }];
  await assert.rejects(
    migrate(await program(base, 2), () => {}, broken),
    Fault,
  );
});
