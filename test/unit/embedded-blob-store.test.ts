/** The embedded blob store keeps the port's promises, and finds, names and survives damage to its files. */

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Fault } from '../../core/mail/errors.ts';
import { EmbeddedBlobStore } from '../../drivers/embedded/blob-store.ts';
import { blobStoreContract, PACK_BYTES, readsAs, refOf, sample } from '../contract/blob-store.contract.ts';

const NOW = 1_790_000_000_000;

blobStoreContract('embedded', async () => {
  const root = fs.mkdtempSync(join(tmpdir(), 'mailmesh-blobs-'));
  const clock = { now: NOW };
  const opened: EmbeddedBlobStore[] = [];
  const start = async (name: string): Promise<EmbeddedBlobStore> => {
    const store = new EmbeddedBlobStore({
      folder: join(root, name),
      now: () => clock.now,
      packSizeBytesMax: PACK_BYTES,
    });
    await store.open();
    opened.push(store);
    return store;
  };
  const store = await start('a');
  let copies = 0;
  return {
    store,
    clock,
    reopen: async () => {
      await opened.shift()!.close();
      return start('a');
    },
    afterKill: async () => {
      const name = `killed-${copies++}`;
      fs.cpSync(join(root, 'a'), join(root, name), { recursive: true });
      return start(name);
    },
    fromBackup: async () => {
      const name = `backup-${copies++}`;
      await store.backup(join(root, name));
      return start(name);
    },
    dispose: async () => {
      for (const one of opened) await one.close();
      fs.rmSync(root, { recursive: true });
    },
  };
});

/** Runs with a folder and a way to open a store on it; all that was opened is closed. */
async function withFolder(
  run: (folder: string, open: () => Promise<EmbeddedBlobStore>) => Promise<void>,
): Promise<void> {
  const folder = fs.mkdtempSync(join(tmpdir(), 'mailmesh-blobs-'));
  const opened: EmbeddedBlobStore[] = [];
  const open = async () => {
    await opened.pop()?.close();
    const store = new EmbeddedBlobStore({ folder, now: () => NOW, packSizeBytesMax: PACK_BYTES });
    await store.open();
    opened.push(store);
    return store;
  };
  try {
    await run(folder, open);
  } finally {
    await opened.pop()?.close();
    fs.rmSync(folder, { recursive: true });
  }
}

const packs = (folder: string): string[] =>
  fs
    .readdirSync(join(folder, 'packs'))
    .sort()
    .map((name) => join(folder, 'packs', name));

function flip(file: string, offset: number): void {
  const fd = fs.openSync(file, 'r+');
  const byte = Buffer.alloc(1);
  fs.readSync(fd, byte, 0, 1, offset);
  byte[0]! ^= 0x55;
  fs.writeSync(fd, byte, 0, 1, offset);
  fs.closeSync(fd);
}

test('a flipped bit in a pack is found, named and repaired; the rest is served', async () => {
  await withFolder(async (folder, open) => {
    let store = await open();
    const all = Array.from({ length: 20 }, (_, i) => sample(3000, i));
    for (const bytes of all) await store.put(bytes);
    // File header, then records of 64 + 3000 bytes: inside the payload of the seventh.
    flip(packs(folder)[0]!, 16 + 6 * 3064 + 64 + 100);
    store = await open();
    const ref = refOf(all[6]!);
    await assert.rejects(
      store.read(ref, 0, 3000),
      (error: Error) => error instanceof Fault && /damaged/.test(error.message),
    );
    const damages = await store.verify(false);
    assert.equal(damages.length, 1);
    assert.match(damages[0]!.what, new RegExp(`^pack 1, offset ${16 + 6 * 3064}, blob ${ref}$`));
    assert.equal(damages[0]!.repaired, false);
    for (const [i, bytes] of all.entries()) if (i !== 6) await readsAs(store, bytes);
    assert.equal((await store.verify(true))[0]!.repaired, true);
    assert.equal(await store.stat(ref), undefined);
    assert.equal((await store.stats()).count, 19);
    await store.put(all[6]!);
    await readsAs(store, all[6]!);
  });
});

test('a broken record header hides only its own record', async () => {
  await withFolder(async (folder, open) => {
    let store = await open();
    const all = Array.from({ length: 10 }, (_, i) => sample(3000, i));
    for (const bytes of all) await store.put(bytes);
    flip(packs(folder)[0]!, 16 + 4 * 3064 + 10);
    store = await open();
    const damages = await store.verify(false);
    assert.deepEqual(
      damages.map((damage) => damage.detail),
      ['there is no record'],
    );
    await assert.rejects(store.read(refOf(all[4]!), 0, 10), Fault);
    for (const [i, bytes] of all.entries()) if (i !== 4) await readsAs(store, bytes);
  });
});

test('damage in the file of a large blob is found by reading, even of a range, and by verify', async () => {
  await withFolder(async (folder, open) => {
    let store = await open();
    const bytes = sample(1_500_000, 1);
    const { ref } = await store.put(bytes);
    const file = join(folder, 'files', ref.slice(0, 2), ref);
    flip(file, 700_000);
    store = await open();
    await assert.rejects(store.read(ref, 650_000, 650_010), Fault);
    await readsAs(store, bytes.subarray(0, 262_144), ref);
    assert.match((await store.verify(false))[0]!.what, new RegExp(ref));
    fs.truncateSync(file, 1_000_000);
    store = await open();
    await assert.rejects(store.read(ref, 0, 10), Fault);
    assert.equal((await store.verify(true)).length, 1);
    assert.equal(await store.stat(ref), undefined);
    await store.put(bytes);
    await readsAs(store, bytes);
    assert.deepEqual(await store.verify(false), []);
  });
});

test('a pack or file that is gone is named, and its blobs are Faults', async () => {
  await withFolder(async (folder, open) => {
    let store = await open();
    const all = Array.from({ length: 150 }, (_, i) => sample(3000, i));
    for (const bytes of all) await store.put(bytes);
    const large = sample(1_200_000, 1);
    await store.put(large);
    store = await open();
    await store.close();
    fs.rmSync(packs(folder)[0]!);
    fs.rmSync(join(folder, 'files', refOf(large).slice(0, 2), refOf(large)));
    store = await open();
    await assert.rejects(store.read(refOf(all[0]!), 0, 10), Fault);
    await assert.rejects(store.read(refOf(large), 0, 10), Fault);
    const details = (await store.verify(true)).map((damage) => damage.detail);
    assert.equal(details.filter((detail) => detail === 'the file is gone').length, 2);
    assert.deepEqual(await store.verify(false), []);
    await readsAs(store, all.at(-1)!);
  });
});

test('without its index, or with a broken one, everything is found again', async () => {
  await withFolder(async (folder, open) => {
    let store = await open();
    const all = Array.from({ length: 150 }, (_, i) => sample(i === 7 ? 1_100_000 : 3000, i, i % 2 === 0));
    for (const bytes of all) await store.put(bytes);
    const before = await store.stats();
    await store.close();
    fs.rmSync(join(folder, 'blobs.db'));
    store = await open();
    for (const bytes of all) await readsAs(store, bytes);
    assert.deepEqual(await store.stats(), before);
    await store.close();
    fs.writeFileSync(join(folder, 'blobs.db'), Buffer.alloc(8192, 'no database'));
    store = await open();
    for (const bytes of all) await readsAs(store, bytes);
    assert.ok(fs.existsSync(join(folder, 'blobs.db.broken')));
  });
});
