/** The group-committing writer: what resolves is committed, what fails changes nothing, and each failure has its kind. */

import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { Fault, type MailError, TemporaryError } from '../../core/mail/errors.ts';
import { SqliteWriter } from '../../drivers/embedded/sqlite-writer.ts';

const WORKER = new URL('./sqlite-writer-worker.ts', import.meta.url);
const SCAN = new URL('./sqlite-writer-scan-worker.ts', import.meta.url);

const given = (name: string, run: (writer: SqliteWriter, file: string) => Promise<void>): void => {
  test(name, async () => {
    const folder = await mkdtemp(join(tmpdir(), 'mailmesh-writer-'));
    const file = join(folder, 'numbers.db');
    const writer = new SqliteWriter(file, WORKER, 'word');
    await writer.open();
    try {
      await run(writer, file);
    } finally {
      await writer.close();
      await rm(folder, { recursive: true });
    }
  });
};
const stored = (writer: SqliteWriter): number[] =>
  (writer.reader.prepare('SELECT n FROM numbers ORDER BY n').all() as { n: number }[]).map(({ n }) => n);

given('a call that resolved is seen by the reader, whatever its mode', async (writer) => {
  await writer.call('add', { n: 1 });
  assert.deepEqual(stored(writer), [1]);
  await writer.call('add', { n: 2 }, 'volatile');
  assert.deepEqual(stored(writer), [1, 2]);
  assert.deepEqual(await writer.call('all', null, 'scan'), Float64Array.of(1, 2));
});
given('migrations have run, and options reach the worker', async (writer) => {
  await writer.call('add', { n: 1 });
  assert.equal((writer.reader.prepare('SELECT word FROM numbers').get() as { word: string }).word, 'word');
  assert.deepEqual(
    writer.reader.prepare('PRAGMA user_version').get(),
    Object.assign(Object.create(null), { user_version: 2 }),
  );
});
given('calls of one turn run in their order, more than fit one group', async (writer) => {
  const calls = Array.from({ length: 200 }, (_, n) => writer.call('add', { n }, n % 3 === 0 ? 'volatile' : 'durable'));
  const scanned = writer.call<Float64Array>('all', null, 'scan');
  const late = writer.call('add', { n: 1000 });
  await Promise.all(calls);
  assert.deepEqual(
    [...(await scanned)],
    Array.from({ length: 200 }, (_, n) => n),
  );
  await late;
});
given('one that throws in a group changes nothing, and the others stand', async (writer) => {
  const results = await Promise.allSettled([
    writer.call('add', { n: 1 }),
    writer.call('addAndThrow', { n: 2, kind: 'fenced' }),
    writer.call('add', { n: 3 }),
    writer.call('add', { n: 3 }),
    writer.call('addAndThrow', { n: 4, kind: 'client' }),
    writer.call('addAndThrow', { n: 5, kind: 'error' }),
    writer.call('unknown', null),
    writer.call('add', { n: 6 }),
  ]);
  assert.deepEqual(
    results.map((result) => (result.status === 'fulfilled' ? 'ok' : (result.reason as Error).constructor.name)),
    ['ok', 'Fenced', 'ok', 'Fault', 'ClientError', 'Fault', 'Fault', 'ok'],
  );
  assert.equal((results[4] as PromiseRejectedResult).reason.reply, 'notFound');
  assert.deepEqual(stored(writer), [1, 3, 6]);
});
given(
  'a database that can not grow fails with diskFull, keeps what it has, and works again with room',
  async (writer) => {
    await writer.call('add', { n: 1 });
    const results = await Promise.allSettled(
      Array.from({ length: 8 }, (_, i) => writer.call('add', { n: 2 + i, bytes: 60_000 })),
    );
    const failed = results.filter((result) => result.status === 'rejected').map((result) => result.reason as MailError);
    assert(failed.length > 0);
    for (const error of failed) assert(error instanceof TemporaryError && error.reply === 'diskFull', String(error));
    assert.equal(stored(writer).length, 1 + 8 - failed.length);
    await writer.call('clear', null);
    await writer.call('add', { n: 100, bytes: 60_000 });
    assert.deepEqual(stored(writer), [100]);
  },
);
given('bytes moved to the worker and back arrive whole', async (writer) => {
  const bytes = new Uint8Array(100_000).map((_, i) => i & 255);
  const copy = bytes.slice();
  const answer = await writer.call<{ bytes: Uint8Array; length: number }>('echo', bytes, 'scan', [bytes.buffer]);
  assert.deepEqual([answer.length, Buffer.compare(answer.bytes, copy), bytes.length], [100_000, 0, 0]);
});
given('an argument that can not be sent fails alone, as a bug', async (writer) => {
  const [sent] = await Promise.allSettled([writer.call('add', () => 1)]);
  assert(sent!.status === 'rejected' && sent!.reason instanceof Fault);
  await writer.call('add', { n: 1 });
});
given('a writer whose thread ended answers with temporary failures', async (writer) => {
  await assert.rejects(writer.call('end', null), (error) => error instanceof TemporaryError);
  await assert.rejects(writer.call('add', { n: 1 }), (error) => error instanceof TemporaryError);
});
given('closing waits for the calls made before, and refuses those behind', async (writer, file) => {
  const before = Array.from({ length: 100 }, (_, n) => writer.call('add', { n }));
  const closed = writer.close();
  await assert.rejects(writer.call('add', { n: 1000 }), (error) => error instanceof TemporaryError);
  await Promise.all(before);
  await closed;
  await writer.close();
  const db = new DatabaseSync(file, { readOnly: true });
  assert.equal((db.prepare('SELECT count(*) AS n FROM numbers').get() as { n: number }).n, 100);
  db.close();
});
given('a read-only thread beside the writer sees what is committed and can not write', async (writer, file) => {
  await writer.call('add', { n: 1 });
  const scanner = new SqliteWriter(file, SCAN);
  await scanner.open();
  try {
    assert.equal(await scanner.call('count', null, 'scan'), 1);
    await writer.call('add', { n: 2 });
    assert.equal(await scanner.call('count', null, 'scan'), 2);
    await assert.rejects(scanner.call('write', null, 'scan'));
    assert.deepEqual(await scanner.integrity(), []);
  } finally {
    await scanner.close();
  }
  assert.deepEqual(stored(writer), [1, 2]);
});

test('a file that is no database, or of a newer version, does not open', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'mailmesh-writer-'));
  try {
    await writeFile(join(folder, 'garbage.db'), Buffer.alloc(5000, 0x21));
    await assert.rejects(new SqliteWriter(join(folder, 'garbage.db'), WORKER).open(), TemporaryError);
    const db = new DatabaseSync(join(folder, 'newer.db'));
    db.exec('PRAGMA user_version = 7');
    db.close();
    await assert.rejects(new SqliteWriter(join(folder, 'newer.db'), WORKER).open(), /newer version/);
  } finally {
    await rm(folder, { recursive: true });
  }
});
