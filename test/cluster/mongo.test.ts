/** The connection to MongoDB: what the operator is told at the start, what an outage does, and what a collection promises. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as after } from 'node:timers/promises';
import { MongoClient } from 'mongodb';
import { oneLine } from '../../bin/errors.ts';
import { TemporaryError } from '../../core/mail/errors.ts';
import { Mongo } from '../../drivers/cluster/mongo.ts';
import type { Collection } from '../../drivers/cluster/mongo-collection.ts';
import { mongoServer, withDatabase } from '../support/cluster-servers.ts';
import { tcpProxy } from '../support/tcp-proxy.ts';
import { Database, missing, sharedServer } from './cluster-fixture.ts';

interface Thing {
  readonly _id: string;
  readonly n: number;
  readonly names?: readonly string[];
  readonly until?: number;
}

const own =
  missing !== false ? missing : process.env.MONGO_URL ? 'the server of MONGO_URL is not to be stopped' : false;

/** Runs on a database of its own. */
async function onDatabase(run: (database: Database) => Promise<void>): Promise<void> {
  const database = await Database.create(await sharedServer());
  try {
    await run(database);
  } finally {
    await database.dispose();
  }
}

const onThings = (run: (things: Collection<Thing>) => Promise<void>): Promise<void> =>
  onDatabase(async (database) => run((await database.connect()).collection<Thing>('things')));

/** The line that an operator reads when it cannot be opened. */
async function refusal(url: string): Promise<string> {
  try {
    const mongo = new Mongo({ url });
    await mongo.open();
    await mongo.close();
  } catch (error) {
    return oneLine(error) ?? `no line for ${error}`;
  }
  return 'opened';
}

test('mongo: an address that is none is told in one line', async () => {
  for (const url of ['localhost:27017', 'mongodb://', 'mongodb://host/%zz', 'mongodb://host/?maxPoolSize=many'])
    assert.match(await refusal(url), /^the MongoDB address is not valid: [^\n]+$/);
});

test('mongo: nothing of an address whose password is not escaped is shown', async () => {
  for (const secret of ['hu/sh', 'hu?sh', 'hu#sh', 'hu@sh', 'hu:sh', 'hu%sh', 'hu[sh'])
    for (const access of [`user:${secret}`, secret]) {
      const line = await refusal(`mongodb://${access}@127.0.0.1:1/mail?serverSelectionTimeoutMS=300`);
      if (access !== 'hu:sh') assert.match(line, /^the MongoDB address is not valid: [^\n]+$/, access);
      assert.doesNotMatch(line, /hu|sh\b/, access);
    }
});

test('mongo: a server that cannot be reached is told in one line, without the password', async () => {
  assert.match(
    await refusal('mongodb://user:secret@127.0.0.1:1/mail?serverSelectionTimeoutMS=300'),
    /^MongoDB at 127\.0\.0\.1:1\/mail cannot be reached: [^\n]+$/,
  );
  assert.doesNotMatch(await refusal('mongodb://user:secret@127.0.0.1:1/?serverSelectionTimeoutMS=300'), /secret/);
});

test('mongo: wrong credentials, and a user without rights, are told in one line each', { skip: own }, async () => {
  const server = await mongoServer();
  try {
    const client = await MongoClient.connect(server.url);
    await client.db('admin').command({ createUser: 'mailmesh', pwd: 'right', roles: ['root'] });
    await client.db('admin').command({ createUser: 'reader', pwd: 'right', roles: [{ role: 'read', db: 'other' }] });
    await client.close();
    await server.restart(['--auth']);
    const address = (user: string) => server.url.replace('://', `://${user}`);
    assert.equal(await refusal(address('mailmesh:right@')), 'opened');
    const place = `MongoDB at 127.0.0.1:${server.port}/mailmesh`;
    assert.equal(await refusal(address('mailmesh:wrong@')), `${place} refuses the user name or password`);
    const rights = `${place} wants a user who may read and write the database`;
    assert.equal(await refusal(address('reader:right@')), rights);
    assert.equal(await refusal(address('')), rights);
  } finally {
    await server.close();
  }
});

test('mongo: a server without a replica set works, with a warning', { skip: own }, async () => {
  const server = await mongoServer({ standalone: true });
  try {
    const mongo = new Mongo({ url: server.url });
    await mongo.open();
    assert.equal(mongo.warnings.length, 1);
    assert.match(mongo.warnings[0]!, /no replica set/);
    const things = mongo.collection<Thing>('things');
    assert.equal(await things.insertOne({ _id: 'a', n: 1 }), true);
    assert.deepEqual(await things.findOne({ _id: 'a' }), { _id: 'a', n: 1 });
    await mongo.close();
  } finally {
    await server.close();
  }
});

test('mongo: ten nodes that start at once are one cluster, and their indexes are made once', { skip: missing }, () =>
  onDatabase(async (database) => {
    const nodes = await Promise.all(Array.from({ length: 10 }, () => database.connect()));
    assert.deepEqual(nodes[0]!.warnings, []);
    assert.match(nodes[0]!.cluster, /^[0-9a-f]{16}$/);
    for (const node of nodes) assert.equal(node.cluster, nodes[0]!.cluster);
    await Promise.all(nodes.map((node) => node.collection<Thing>('things').createIndex({ n: 1 }, { unique: true })));
    assert.equal((await nodes[0]!.db.collection('things').indexes()).length, 2);
    assert.ok(Math.abs((await nodes[0]!.now()) - Date.now()) < 60_000);
  }),
);

test('mongo: nothing in the address makes writes or reads less safe', { skip: missing }, () =>
  onDatabase(async (database) => {
    await database.connect();
    const more = database.url.includes('?') ? '&' : '?';
    const mongo = new Mongo({ url: `${database.url}${more}w=1&journal=false&readPreference=secondary` });
    await mongo.open();
    const { writeConcern, readPreference } = mongo.db.collection('things');
    assert.deepEqual([writeConcern?.w, writeConcern?.journal, readPreference?.mode], ['majority', true, 'primary']);
    await mongo.close();
  }),
);

test(
  'mongo: a database of a newer version, and one that is not ours, are refused and left alone',
  {
    skip: missing,
  },
  () =>
    onDatabase(async (database) => {
      const meta = (await database.connect()).collection<{ _id: string; format: unknown }>('meta');
      await meta.updateOne({ _id: 'cluster' }, { $set: { format: 7 } });
      assert.match(await refusal(database.url), /was made by a newer version \(format 7, this one knows 1\)$/);
      assert.equal((await meta.findOne({ _id: 'cluster' }))!.format, 7);
      await meta.updateOne({ _id: 'cluster' }, { $set: { format: 'x' } });
      assert.match(await refusal(database.url), /is not one of Mailmesh$/);
    }),
);

test(
  'mongo: operations fail in seconds while the server is down, and succeed by themselves afterwards',
  {
    skip: own,
  },
  () =>
    onThings(async (things) => {
      const server = await sharedServer();
      await things.insertOne({ _id: 'a', n: 1 });
      await server.kill();
      const started = performance.now();
      await assert.rejects(things.insertOne({ _id: 'b', n: 1 }), unavailable);
      await assert.rejects(things.findOne({ _id: 'a' }), unavailable);
      assert.ok(performance.now() - started < 12_000);
      await server.start();
      assert.equal((await things.findOne({ _id: 'a' }))!.n, 1);
      assert.equal(await things.insertOne({ _id: 'c', n: 1 }), true);
    }),
);

test('mongo: a server that stopped answering keeps nobody waiting for more than ten seconds', { skip: own }, () =>
  onThings(async (things) => {
    const server = await sharedServer();
    await things.insertOne({ _id: 'a', n: 1 });
    await server.pause();
    const started = performance.now();
    const outcomes = await Promise.allSettled([
      things.findOne({ _id: 'a' }),
      things.insertOne({ _id: 'b', n: 1 }),
      things.group({ filter: {}, by: null, sums: { n: 1 } }),
    ]);
    server.resume();
    for (const outcome of outcomes) assert.ok(outcome.status === 'rejected' && unavailable(outcome.reason));
    assert.ok(performance.now() - started < 10_000);
    assert.equal((await things.findOne({ _id: 'a' }))!.n, 1);
  }),
);

test('mongo: an operation whose connection is cut under it is done all the same', { skip: missing }, () =>
  onDatabase(async (database) => {
    const proxy = await tcpProxy((await sharedServer()).port);
    const mongo = new Mongo({
      url: `${withDatabase(`mongodb://127.0.0.1:${proxy.port}`, new URL(database.url).pathname.slice(1))}?directConnection=true`,
    });
    await mongo.open();
    try {
      const things = mongo.collection<Thing>('things');
      for (let n = 0; n < 6; n++) {
        // Some connections are in use, and some only open.
        await Promise.all(Array.from({ length: 4 }, () => things.findOne({ _id: 'a' })));
        proxy.delayMs = 60;
        const done = Promise.all([
          things.insertMany([{ _id: `many ${n}`, n }]),
          things.updateOne({ _id: 'counter', n: n - 1 }, { $set: { n } }, { upsert: n === 0 }),
          things.bulk([{ insertOne: { document: { _id: `bulk ${n}`, n } } }]),
          things.findOne({ _id: 'counter' }),
        ]);
        await after(10 + 25 * n);
        proxy.cut();
        proxy.delayMs = 0;
        await done;
        assert.equal((await things.findOne({ _id: 'counter' }))!.n, n);
      }
      assert.equal((await things.find({ filter: {} })).length, 13);
    } finally {
      await mongo.close();
      await proxy.close();
    }
  }),
);

const unavailable = (error: unknown): boolean => {
  assert.ok(error instanceof TemporaryError, `${error}`);
  assert.equal(error.reply, 'storeUnavailable');
  assert.equal(typeof error.facts.detail, 'string');
  return true;
};

test('collection: keys that are there already are values', { skip: missing }, () =>
  onThings(async (things) => {
    await things.createIndex({ n: 1 }, { unique: true });
    assert.equal(await things.insertOne({ _id: 'a', n: 1 }), true);
    assert.equal(await things.insertOne({ _id: 'a', n: 2 }), false);
    assert.equal(await things.insertOne({ _id: 'b', n: 1 }), false);
    await things.insertOne({ _id: 'b', n: 2 });
    const duplicate = { matched: 0, modified: 0, upserted: false, duplicate: true };
    assert.deepEqual(await things.updateOne({ _id: 'b' }, { $set: { n: 1 } }), duplicate);
    assert.deepEqual(await things.updateOne({ _id: 'a', n: 9 }, { $set: { n: 5 } }, { upsert: true }), duplicate);
    assert.equal(await things.findOneAndUpdate({ _id: 'b' }, { $set: { n: 1 } }), undefined);
    assert.equal((await things.findOne({ _id: 'b' }))!.n, 2);
  }),
);

test('collection: many are inserted but for those that are there', { skip: missing }, () =>
  onThings(async (things) => {
    const all = Array.from({ length: 250 }, (_, n) => ({ _id: `m${n}`, n }));
    assert.equal((await things.insertMany([all[7]!, all[240]!])).size, 0);
    assert.deepEqual([...(await things.insertMany(all))].sort(), ['m240', 'm7']);
    const found = await things.find({ filter: { n: { $gte: 100 } }, sort: { n: -1 }, limit: 120, fields: ['_id'] });
    assert.equal(found.length, 120);
    assert.deepEqual(found[0], { _id: 'm249' });
    assert.deepEqual(await things.find({ filter: { _id: 'm1' }, fields: [] }), [{ _id: 'm1' }]);
    assert.equal((await things.find({ filter: { _id: { $in: ['m1', 'm2', 'x'] } } })).length, 2);
    assert.deepEqual(await things.group({ filter: { n: { $lt: 4 } }, by: null, sums: { count: 1, sum: '$n' } }), [
      { _id: null, count: 4, sum: 6 },
    ]);
    assert.deepEqual(await things.group({ filter: { n: { $gt: 900 } }, by: null, sums: { count: 1 } }), []);
    assert.equal(await things.deleteMany({ n: { $gte: 10 } }), 240);
    assert.equal(await things.deleteOne({ _id: 'm1' }), true);
    assert.equal(await things.deleteOne({ _id: 'm1' }), false);
  }),
);

test('collection: a batch of operations tells what each kind did', { skip: missing }, () =>
  onThings(async (things) => {
    await things.insertMany([
      { _id: 'a', n: 1 },
      { _id: 'b', n: 2 },
      { _id: 'c', n: 3 },
    ]);
    const nothing = { inserted: 0, matched: 0, modified: 0, upserted: 0, deleted: 0, duplicates: [] };
    assert.deepEqual(await things.bulk([]), nothing);
    const operations = [
      { insertOne: { document: { _id: 'a', n: 9 } } },
      { insertOne: { document: { _id: 'd', n: 4 } } },
      { updateOne: { filter: { _id: 'b' }, update: { $push: { names: { $each: ['x'] } }, $inc: { n: 5 } } } },
      { updateOne: { filter: { _id: 'b', n: 99 }, update: { $set: { n: 0 } } } },
      { deleteOne: { filter: { _id: 'c' } } },
      { updateOne: { filter: { _id: 'e' }, update: { $setOnInsert: { n: 6 } }, upsert: true } },
    ] as const;
    assert.deepEqual(await things.bulk(operations), {
      ...{ inserted: 1, matched: 1, modified: 1, upserted: 1, deleted: 1 },
      duplicates: [0],
    });
    assert.deepEqual(await things.findOne({ _id: 'b' }), { _id: 'b', n: 7, names: ['x'] });
  }),
);

test('collection: of many who take a lease by the server clock one gets it', { skip: missing }, () =>
  onThings(async (things) => {
    await things.insertOne({ _id: 'lease', n: 0, until: 0 });
    const now = { $toLong: '$$NOW' } as const;
    const free = { _id: 'lease', $expr: { $lt: ['$until', now] } };
    const take = [{ $set: { n: { $add: ['$n', 1] }, until: { $add: [now, 60_000] } } }];
    const taken = await Promise.all(Array.from({ length: 20 }, () => things.findOneAndUpdate(free, take)));
    const holders = taken.filter((document) => document !== undefined);
    assert.equal(holders.length, 1);
    assert.equal(holders[0]!.n, 1);
    assert.ok(Math.abs(holders[0]!.until! - 60_000 - Date.now()) < 60_000);
  }),
);

test('collection: numbers up to 2^53 and bytes come back as they were', { skip: missing }, () =>
  onDatabase(async (database) => {
    interface Value {
      readonly _id: string;
      readonly n: number;
      readonly bytes: Uint8Array;
      readonly gone?: string | undefined;
    }
    const values = (await database.connect()).collection<Value>('values');
    for (const n of [0, -1, 2 ** 31, 2 ** 53 - 1, 1_790_000_000_000.5]) {
      await values.insertOne({ _id: `${n}`, n, bytes: Buffer.from([0, 255]), gone: undefined });
      const found = (await values.findOne({ _id: `${n}`, n }))!;
      assert.deepEqual(found, { _id: `${n}`, n, bytes: Buffer.from([0, 255]) });
      assert.equal((await values.findOneAndUpdate({ _id: `${n}` }, { $inc: { n: -1 } }))!.n, n - 1);
    }
  }),
);
