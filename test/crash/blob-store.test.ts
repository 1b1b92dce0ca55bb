/** Kills a process that puts and collects blobs at random moments: nothing acknowledged and referred to is ever lost. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { EmbeddedBlobStore } from '../../drivers/embedded/blob-store.ts';
import { readsAs, refOf, sample } from '../contract/blob-store.contract.ts';
import { blobOf } from './blob-store-blobs.ts';
import { randomFrom, runUntilKilled } from './kill.ts';

const child = fileURLToPath(new URL('./blob-store-child.ts', import.meta.url));

test('kill -9 at random moments loses no acknowledged blob', async (t) => {
  const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
  t.diagnostic(`seed ${seed}`);
  const random = randomFrom(seed);
  const folder = fs.mkdtempSync(join(tmpdir(), 'mailmesh-crash-'));
  try {
    const acknowledged = new Set<number>();
    let next = 0;
    for (let round = 0; round < 5; round++) {
      const lines = await runUntilKilled(child, [folder, String(next)], 1 + Math.floor(random() * 120));
      for (const line of lines) acknowledged.add(Number(line));
      next = Math.max(-1, ...acknowledged) + 50;
      const store = new EmbeddedBlobStore({ folder, now: () => 1_790_000_000_000 });
      await store.open();
      try {
        for (const number of acknowledged) if (number % 2 === 1) await readsAs(store, blobOf(number));
        assert.deepEqual(await store.verify(false), [], `seed ${seed}, round ${round}`);
      } finally {
        await store.close();
      }
    }
    assert.ok(acknowledged.size > 5);
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
});

/** Closes a store with ten blobs, changes its only pack, and opens it again without its index's knowledge of it. */
async function withTail(
  change: (pack: string, blobs: readonly Buffer[]) => void,
  check: (store: EmbeddedBlobStore, blobs: readonly Buffer[]) => Promise<void>,
) {
  const folder = fs.mkdtempSync(join(tmpdir(), 'mailmesh-crash-'));
  const blobs = Array.from({ length: 10 }, (_, i) => sample(3000, i));
  try {
    let store = new EmbeddedBlobStore({ folder, now: () => 1 });
    await store.open();
    for (const bytes of blobs.slice(0, 5)) await store.put(bytes);
    // The index as it is now is what a power loss leaves: it knows five of the ten.
    await store.stats();
    await store.backup(join(folder, 'copy'));
    for (const bytes of blobs.slice(5)) await store.put(bytes);
    await store.close();
    for (const suffix of ['-wal', '-shm']) fs.rmSync(join(folder, `blobs.db${suffix}`), { force: true });
    fs.copyFileSync(join(folder, 'copy', 'blobs.db'), join(folder, 'blobs.db'));
    const pack = join(folder, 'packs', fs.readdirSync(join(folder, 'packs'))[0]!);
    change(pack, blobs);
    for (let round = 0; round < 2; round++) {
      store = new EmbeddedBlobStore({ folder, now: () => 1 });
      await store.open();
      try {
        await check(store, blobs);
        const more = sample(2500, 100 + round);
        await store.put(more);
        await readsAs(store, more);
        assert.deepEqual(await store.verify(false), []);
      } finally {
        await store.close();
      }
    }
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
}

const allThere = async (store: EmbeddedBlobStore, blobs: readonly Buffer[]) => {
  for (const bytes of blobs) await readsAs(store, bytes);
};

test('records behind the index are found again', () => withTail(() => {}, allThere));

test('garbage behind the last record is cut off', () =>
  withTail((pack) => fs.appendFileSync(pack, sample(10_000, 77)), allThere));

test('zeroes behind the last record are cut off', () =>
  withTail((pack) => fs.appendFileSync(pack, Buffer.alloc(70_000)), allThere));

test('half a record at the end is dropped, wherever it was cut', async () => {
  for (const cut of [1, 2999, 3000, 3001, 3063])
    await withTail(
      (pack) => fs.truncateSync(pack, fs.statSync(pack).size - cut),
      async (store, blobs) => {
        await allThere(store, blobs.slice(0, 9));
        assert.equal(await store.stat(refOf(blobs[9]!)), undefined);
      },
    );
});

test('a torn record in front of whole ones hides only itself', () =>
  withTail(
    (pack) => {
      const fd = fs.openSync(pack, 'r+');
      fs.writeSync(fd, Buffer.alloc(2000), 0, 2000, 16 + 6 * 3064 + 10);
      fs.closeSync(fd);
    },
    async (store, blobs) => {
      for (const [i, bytes] of blobs.entries()) if (i !== 6) await readsAs(store, bytes);
      assert.equal(await store.stat(refOf(blobs[6]!)), undefined);
    },
  ));

test('a full disk refuses with diskFull, keeps what is there, and goes on when there is room', async (t) => {
  if (process.platform !== 'linux') return t.skip('needs prlimit-like file size limits');
  const folder = fs.mkdtempSync(join(tmpdir(), 'mailmesh-crash-'));
  const script = fileURLToPath(new URL('./blob-store-full-child.ts', import.meta.url));
  try {
    // The shell's file size limit (blocks of 512 or 1,024 bytes) stands for a disk that has no room left.
    const process_ = spawn('/bin/sh', ['-c', 'ulimit -f 2000; exec "$@"', 'sh', process.execPath, script, folder]);
    let output = '';
    process_.stdout.on('data', (data) => {
      output += data;
    });
    process_.stderr.pipe(process.stderr);
    const [code] = await new Promise<[number | null]>((resolve) => process_.on('exit', (status) => resolve([status])));
    assert.equal(code, 0, output);
    assert.match(output, /^ok \d+ diskFull \d+\n$/);
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
});
