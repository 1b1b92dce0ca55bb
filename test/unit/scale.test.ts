/** Sizing: docs/scale.md is what the program computes, its sizes are those of real documents, and its sums are right. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { BSON, ObjectId } from 'mongodb';
import { MessageSource } from '../../bench/messages.ts';
import { DAY_SECONDS, FIXED, LOAD, MESSAGE_KINDS, MONGO } from '../../bench/scale/assumptions.ts';
import { bsonSize } from '../../bench/scale/bson-size.ts';
import { indexBytes } from '../../bench/scale/index-size.ts';
import { limits, reachedAt } from '../../bench/scale/limits.ts';
import { Pipeline } from '../../bench/scale/pipeline.ts';
import { sections, withSections } from '../../bench/scale/report.ts';
import { accountRows, costs, liveMessages, rates, size, sum, TODAY, tombstones } from '../../bench/scale/sizing.ts';
import { measureUnits, PER_MESSAGE } from '../../bench/scale/units.ts';
import { simSettings } from '../../bench/sim/settings.ts';

const ROOT = join(import.meta.dirname, '../..');
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
const page = read('docs/scale.md');
const units = await measureUnits();

const close = (actual: number, expected: number, share: number, what: string): void =>
  assert.ok(Math.abs(actual - expected) <= share * expected, `${what}: ${actual}, not about ${expected}`);

test('the page has the tables that the program computes', () => {
  assert.ok(
    withSections(page, sections(units)) === page,
    'docs/scale.md is not what the program computes: npm run scale -- --write',
  );
});

test('a page without a mark is refused', () => {
  assert.throws(() => withSections('# Scale', sections(units)), /no marks for orders/);
});

/** As many of each kind as their shares, of other words than the sizes were measured with: the generator's seed is the size. */
const COUNTS = { text: 28, attachment: 4, 'large attachment': 1 } as const;
const ACCOUNTS = 3;
const run = await Pipeline.open(ACCOUNTS);
after(() => run.close());
for (const { name, bytes } of MESSAGE_KINDS) {
  const source = new MessageSource(bytes + 1, COUNTS[name]);
  for (let n = 0; n < COUNTS[name]; n++) await run.deliver({ ...source.next(), to: n % ACCOUNTS });
}
await run.settle();

test('sizes are those of MongoDB’s own encoder', async () => {
  const made = [
    { _id: new ObjectId(), n: 3, data: Buffer.alloc(1000), at: new Date(0) },
    { _id: 'ä', list: [1, -1, 2 ** 31 - 1, 2 ** 31, -(2 ** 31), 0.5, -0, 2 ** 53 - 1], none: null, yes: true },
    { _id: '€', within: { empty: {}, list: [] }, text: 'x'.repeat(300), many: Array.from({ length: 12 }, String) },
  ];
  const documents = (await Promise.all(run.mongo.names.map((name) => run.mongo.documents(name)))).flat();
  assert.ok(documents.length > 6 * sum(Object.values(COUNTS)), `${documents.length} documents`);
  for (const document of [...made, ...documents]) assert.equal(bsonSize(document), BSON.calculateObjectSize(document));
  assert.throws(() => bsonSize({ _id: undefined }), RangeError);
});

test('the drivers write as many and as large documents as the sizing says', async () => {
  const kinds = units.kinds.map(({ name, parts }) => ({ count: COUNTS[name], parts }));
  const messages = sum(Object.values(COUNTS));
  for (const name of PER_MESSAGE) {
    const documents = await run.mongo.documents(name);
    assert.equal(documents.length, messages, name);
    const expected = sum(kinds.map(({ count, parts }) => count * parts[name].bytes));
    // Names, subjects and words are others: a few bytes of thousands, and of features as many as there are other words.
    close(sum(documents.map(bsonSize)), expected, name === 'features' ? 0.01 : 0.005, name);
  }
  const blobs = (
    await Promise.all(['blobs', 'blobs.files', 'blobs.chunks'].map((name) => run.mongo.documents(name)))
  ).flat();
  const all = kinds.flatMap(({ count, parts: { keptBlobs, passingBlobs } }) =>
    [keptBlobs, passingBlobs].map(({ documents, bytes }) => ({ documents: count * documents, bytes: count * bytes })),
  );
  assert.equal(blobs.length, Math.round(sum(all.map(({ documents }) => documents))));
  // The generator makes messages of about a size, to a line.
  close(sum(blobs.map(bsonSize)), sum(all.map(({ bytes }) => bytes)), 0.005, 'blobs');
});

test('an index is as large as its keys without what they share', () => {
  const one = indexBytes([{ _id: 'abc' }], ['_id']);
  const two = indexBytes([{ _id: 'abc' }, { _id: 'abd' }], ['_id']);
  const far = indexBytes([{ _id: 'abc' }, { _id: 'xyz' }], ['_id']);
  assert.ok(one < two && two < far && far <= 2 * one, `${one} ${two} ${far}`);
  assert.equal(indexBytes([{ keys: ['a', 'b'] }], ['keys']), indexBytes([{ keys: 'a' }, { keys: 'b' }], ['keys']));
  assert.ok(
    indexBytes([{ due: { spam: 2 ** 53 - 1 } }], ['due.spam']) > indexBytes([{ due: { spam: 1 } }], ['due.spam']),
  );
});

test('twice the accounts take twice the documents, bytes and messages', () => {
  const [one, two] = [size(1e7, units), size(2e7, units)];
  one.rows.forEach((row, i) => {
    for (const field of ['documents', 'bytes', 'stored', 'indexBytes'] as const)
      assert.equal(two.rows[i]![field], 2 * row[field], `${row.collection} ${field}`);
  });
  for (const name of ['messages', 'commits', 'writes', 'pointers', 'labels'] as const)
    close(two.rates[name], 2 * one.rates[name], 1e-12, name);
  assert.equal(two.connections, 2 * one.connections);
});

test('parts add up to their totals', () => {
  const all = size(1e8, units);
  const onDisk = sum(all.rows.map(({ stored, indexBytes: ofIndexes }) => stored + ofIndexes));
  close((all.mailTB + all.blobTB) * 1e12, onDisk, 1e-9, 'disk');
  const { pointers, commits, hints, heartbeats } = all.traffic;
  close(all.traffic.all, pointers + commits + hints + heartbeats, 1e-9, 'traffic');
  const { edge, filter, mailbox, other } = all.nodes;
  assert.equal(all.nodes.all, edge + filter + mailbox + other);
  const live = accountRows(units).filter(({ what }) => what === 'messages' || what === 'contents');
  for (const { documents } of live) assert.equal(documents, liveMessages());
  for (const { machines, cores, price } of costs(all, 'shards')) assert.ok(cores >= machines && price > 0);
});

test('100 million accounts send 10 billion messages a day', () => {
  close(rates(1e8, units).messages * DAY_SECONDS, 1e10, 1e-9, 'messages a day');
});

test('vanished messages are what has gone, but no more than a mailbox remembers', () => {
  const gone = LOAD.messagesPerAccountDay * LOAD.accountAgeDays - liveMessages();
  assert.equal(tombstones({ ...TODAY, tombstonesKept: 1e9 }), gone);
  // Both mailboxes that get mail keep those of 30 days, whatever the number.
  assert.equal(tombstones({ ...TODAY, tombstonesKept: 0 }), LOAD.messagesPerAccountDay * 30);
  assert.equal(tombstones({ ...TODAY, tombstonesKept: 10_000 }), 20_000);
});

test('a limit is reached where what is asked passes what there is', () => {
  for (const limit of limits(units)) {
    const at = reachedAt(limit);
    assert.ok(Number.isFinite(at), limit.what);
    assert.ok(limit.asked(at * 1.02) > limit.has, limit.what);
    assert.ok(limit.asked(at * 0.98) <= limit.has, limit.what);
  }
  assert.equal(reachedAt({ asked: () => 1, has: 2 }), Number.POSITIVE_INFINITY);
});

test('the simulation has the shards of the page', () => {
  for (const accounts of [1_000_000, 10_000_000, 100_000_000])
    assert.equal(simSettings({ nodes: 1_000, accounts, seed: 1 }).store.shards, size(accounts, units).mailShards);
});

test('what is stated of files that export nothing stands there', () => {
  const stated = [
    ['mixins/maintenance.ts', `FEATURES_KEPT_MS = ${FIXED.featuresKeptDays} * 86_400_000;`],
    ['mixins/maintenance.ts', 'FORGET_AT_ONCE = 1_000;'],
    ['mixins/maintenance.ts', 'SHARED_ROUND_MS = 30_000;'],
    ['services/maintenance.service.ts', 'COLLECT_MS = 60_000;'],
    ['drivers/cluster/blob-collect.ts', `BATCH = ${FIXED.upkeepBatch};`],
    ['drivers/cluster/queue-claimers.ts', `LOOK_MS = ${FIXED.lookSeconds}_000;`],
    ['drivers/cluster/mail-store-carry.ts', `ENTRIES = ${2 * MONGO.logEntries};`],
    ['k8s/base/access.yaml', `limits: { memory: ${FIXED.edgeMemoryMiB}Mi }`],
  ] as const;
  for (const [path, words] of stated) assert.ok(read(path).includes(words), `${path} has no "${words}"`);
  const overlay = read('k8s/overlays/large/kustomization.yaml');
  const ceiling = (role: string): number => {
    const [, patch = ''] = overlay.split(`HorizontalPodAutoscaler, name: ${role} }`);
    return Number(/maxReplicas, value: (\d+)/.exec(patch)?.[1]);
  };
  const { autoscaledEdges, autoscaledFilters, autoscaledMailboxes } = FIXED;
  const stand = [autoscaledEdges, autoscaledFilters, autoscaledMailboxes];
  assert.deepEqual(['access', 'filter', 'mailbox'].map(ceiling), stand);
});

test('each collection has its key', () => {
  const [table = ''] = page.split('## Shards and their keys').slice(1);
  const [keys = ''] = table.split('\n## ');
  for (const name of run.mongo.names) assert.ok(keys.includes(`\`${name}\``), `${name} is not in the table of keys`);
});
