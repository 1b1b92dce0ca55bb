/**
 * A database of a mesh as a format has it, with the pointers that lay in NATS, recorded while a node ran: as after a
 * kill. Each later program must serve each of them. `RECORD=2 npm run test:cluster -- cluster/recorded` makes
 * test/recorded/mesh-2.jsonl, of the format that this program writes.
 */

import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { test } from 'node:test';
import { BSON, type Document, MongoClient } from 'mongodb';
import { connect, type NatsError } from 'nats';
import { loadConfig } from '../../core/config/load.ts';
import { openStores } from '../../mixins/storage.ts';
import { mongoServer, natsServer, withDatabase } from '../support/cluster-servers.ts';
import { checkRecorded, type Expected, isToBeMade, linesOf, makeRecorded, recordings } from '../support/recorded.ts';
import { newDataDir, removeDataDir } from '../support/server.ts';
import { missing } from './cluster-fixture.ts';

/** More than a blob may have that stands in its document. */
const LARGE_BYTES = 270_000;
const { EJSON } = BSON;
/** Of JetStream: a message of that number has been taken. */
const NO_MESSAGE = 10037;

interface Line {
  readonly expected?: Expected;
  /** A document, in canonical Extended JSON, so that numbers have their types. */
  readonly in?: string;
  readonly document?: unknown;
  /** A message of NATS. */
  readonly subject?: string;
  readonly text?: string;
}

for (const file of recordings('mesh'))
  test(`${basename(file)} is served, and its work goes on`, { skip: missing, timeout: 120_000 }, () => serve(file));

async function serve(file: string): Promise<void> {
  const [mongoAt, natsAt, dataDir] = await Promise.all([mongoServer(), natsServer(), newDataDir()]);
  const name = `recorded-${process.pid}`;
  const client = await MongoClient.connect(mongoAt.url);
  const nats = await connect({ servers: natsAt.url.replace('nats://', '') });
  const urls = { MAILMESH_MONGO_URL: withDatabase(mongoAt.url, name), MAILMESH_NATS_URL: natsAt.url };
  const environment = { ...urls, MAILMESH_DATA_DIR: dataDir, MAILMESH_NODE_ID: 'recorder' };
  const events: string[] = [];
  const report = (event: string): void => void events.push(event);
  const world = {
    environment,
    open: () => openStores(loadConfig(environment), Date.now, { node: 'recorder', report }),
  };
  const db = client.db(name);

  const record = async (expected: Expected): Promise<void> => {
    const lines: Line[] = [{ expected }];
    for (const { name: collection } of await db.listCollections().toArray())
      for await (const document of db.collection(collection).find({}, { promoteValues: false }))
        lines.push({ in: collection, document: EJSON.serialize(document, { relaxed: false }) });
    const { streams } = await nats.jetstreamManager();
    const { cluster } = (await db.collection<{ _id: string; cluster: string }>('meta').findOne({ _id: 'cluster' }))!;
    const { config, state } = await streams.info(`mailmesh-${cluster}-jobs`);
    for (let seq = state.first_seq; seq <= state.last_seq; seq++) {
      const message = await streams.getMessage(config.name, { seq }).catch((error: NatsError) => {
        if (error.api_error?.err_code !== NO_MESSAGE) throw error;
      });
      if (message) lines.push({ subject: message.subject, text: Buffer.from(message.data).toString('latin1') });
    }
    await writeFile(file, lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  };

  try {
    if (isToBeMade(file)) {
      await makeRecorded(world, LARGE_BYTES, record);
      await db.dropDatabase();
    }
    let expected: Expected | undefined;
    const pointers: (readonly [string, string])[] = [];
    for await (const line of linesOf<Line>(file)) {
      if (line.expected !== undefined) expected = line.expected;
      else if (line.in !== undefined)
        await db.collection(line.in).insertOne(EJSON.deserialize(line.document as Document, { relaxed: false }));
      else pointers.push([line.subject!, line.text!]);
    }
    assert.ok(pointers.length > 0);
    await checkRecorded(world, expected!, async () => {
      for (const [subject, text] of pointers) await nats.jetstream().publish(subject, text);
    });
    assert.ok(!events.includes('queue.message-dropped'), events.join(' '));
  } finally {
    await db.dropDatabase();
    await Promise.all([client.close(), nats.close()]);
    await Promise.all([mongoAt.close(), natsAt.close()]);
    await removeDataDir(dataDir);
  }
}
