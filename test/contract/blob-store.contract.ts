/** What every blob store driver promises (core/ports/blob-store.ts): putting, reading, reopening, copying. */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { Fault, MailError } from '../../core/mail/errors.ts';
import { type BlobRef, blobRef } from '../../core/mail/ids.ts';
import { readRange, wholeBlob } from '../../core/mail/layout.ts';
import type { BlobStore } from '../../core/ports/blob-store.ts';
import { blobCollectionContract } from './blob-store-collection.contract.ts';

export interface BlobStoreFixture {
  /** Open and empty, with packs (or what the driver has) of at most `PACK_BYTES`. */
  readonly store: BlobStore;
  /** The store's clock, milliseconds since 1970. */
  readonly clock: { now: number };
  /** Closes the store and opens it again. */
  reopen(): Promise<BlobStore>;
  /** Another store on a copy of what a process killed now would leave. */
  afterKill(): Promise<BlobStore>;
  /** A backup of the store, opened. */
  fromBackup(): Promise<BlobStore>;
  dispose(): Promise<void>;
}

export const PACK_BYTES = 256 * 1024;
const MEBIBYTE = 1024 * 1024;

/** Bytes that depend on the seed alone; `random` ones don't compress. */
export function sample(size: number, seed: number, random = true): Buffer {
  const bytes = Buffer.alloc(size);
  let state = (seed * 2654435761 + 1) >>> 0;
  for (let i = 0; i < size; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[i] = random ? state >>> 24 : 97 + ((state >>> 28) % 6);
  }
  return bytes;
}

export const refOf = (bytes: Uint8Array): BlobRef => blobRef(createHash('sha256').update(bytes).digest('hex'));

export async function readsAs(store: BlobStore, bytes: Uint8Array, ref = refOf(bytes)): Promise<void> {
  const got = await store.read(ref, 0, bytes.length);
  assert.ok(Buffer.from(got).equals(bytes), `blob of ${bytes.length} bytes differs`);
}

export type BlobCase = (name: string, run: (store: BlobStore, fixture: BlobStoreFixture) => Promise<void>) => void;

export function blobStoreContract(driver: string, make: () => Promise<BlobStoreFixture>): void {
  const it: BlobCase = (name, run) =>
    void test(`${driver} blob store: ${name}`, async () => {
      const fixture = await make();
      try {
        await run(fixture.store, fixture);
      } finally {
        await fixture.dispose();
      }
    });
  blobCollectionContract(it);

  it('a new store is empty', async (store) => {
    const { count, bytes } = await store.stats();
    assert.deepEqual({ count, bytes }, { count: 0, bytes: 0 });
    assert.equal(await store.stat(refOf(Buffer.from('x'))), undefined);
    assert.deepEqual(await store.verify(false), []);
  });
  it('a put is named by its SHA-256 and read back', async (store) => {
    const bytes = Buffer.from('Subject: hello\r\n\r\nbody\r\n');
    assert.deepEqual(await store.put(bytes), { ref: refOf(bytes), size: bytes.length });
    await readsAs(store, bytes);
    assert.deepEqual(await store.stat(refOf(bytes)), { ref: refOf(bytes), size: bytes.length });
  });
  for (const size of [0, 1, 2047, 2048, 4096, 65_536, 65_537, 262_144, MEBIBYTE, MEBIBYTE + 1, 2_500_001]) {
    it(`${size} bytes come back as they were, compressible or not`, async (store) => {
      for (const random of [true, false]) {
        const bytes = sample(size, size, random);
        assert.deepEqual(await store.put(bytes), { ref: refOf(bytes), size });
        await readsAs(store, bytes);
      }
      assert.deepEqual(await store.verify(false), []);
    });
  }
  it('any range is exact, over and over', async (store) => {
    for (const size of [700, 50_000, 1_300_000])
      for (const random of [true, false]) {
        const bytes = sample(size, 7, random);
        const { ref } = await store.put(bytes);
        for (const [start, end] of [
          [0, 0],
          [0, 1],
          [size - 1, size],
          [size, size],
          [13, 512],
          [size >> 1, size - 3],
        ])
          assert.deepEqual(Buffer.from(await store.read(ref, start!, end!)), bytes.subarray(start, end));
      }
  });
  it('consecutive ranges make up the whole', async (store) => {
    for (const size of [90_001, 2_000_003]) {
      const bytes = sample(size, 3, false);
      const { ref } = await store.put(bytes);
      const pieces: Uint8Array[] = [];
      for (let at = 0; at < size; at += 40_007) pieces.push(await store.read(ref, at, Math.min(size, at + 40_007)));
      assert.ok(Buffer.concat(pieces).equals(bytes));
      assert.ok(Buffer.from(await readRange(store, wholeBlob(ref, size))).equals(bytes));
    }
  });
  it('reading outside of a blob or one that is not there is a Fault', async (store) => {
    const { ref } = await store.put(Buffer.from('abc'));
    await assert.rejects(store.read(ref, 0, 4), Fault);
    await assert.rejects(store.read(ref, -1, 2), Fault);
    await assert.rejects(store.read(ref, 2, 1), Fault);
    await assert.rejects(store.read(refOf(Buffer.from('other')), 0, 1), Fault);
  });
  it('equal bytes are kept once', async (store) => {
    const bytes = sample(5000, 1);
    await store.put(bytes);
    const before = await store.stats();
    assert.deepEqual(await store.put(bytes), { ref: refOf(bytes), size: 5000 });
    assert.deepEqual(await store.stats(), before);
    assert.equal(before.count, 1);
  });
  it('equal large bytes are kept once', async (store) => {
    const bytes = sample(MEBIBYTE + 5, 1);
    await store.put(bytes);
    const before = await store.stats();
    await store.put(bytes);
    assert.deepEqual(await store.stats(), before);
    await readsAs(store, bytes);
  });
  it('equal puts at once write once and all resolve', async (store) => {
    for (const size of [3000, MEBIBYTE + 1]) {
      const bytes = sample(size, 9);
      const infos = await Promise.all(Array.from({ length: 20 }, () => store.put(Buffer.from(bytes))));
      for (const info of infos) assert.deepEqual(info, { ref: refOf(bytes), size });
    }
    assert.equal((await store.stats()).count, 2);
    assert.deepEqual(await store.verify(false), []);
  });
  it('many puts at once, over many packs', async (store) => {
    const all = Array.from({ length: 300 }, (_, i) => sample(500 + ((i * 97) % 9000), i, i % 2 === 0));
    const infos = await Promise.all(all.map((bytes) => store.put(bytes)));
    assert.deepEqual(
      infos.map((info) => info.ref),
      all.map(refOf),
    );
    for (const bytes of all) await readsAs(store, bytes);
    assert.equal(
      (await store.stats()).bytes,
      all.reduce((sum, bytes) => sum + bytes.length, 0),
    );
  });
  it('stats count blobs, their bytes and the disk', async (store) => {
    await store.put(sample(10_000, 1));
    await store.put(sample(20_000, 2));
    const { count, bytes, stored } = await store.stats();
    assert.deepEqual({ count, bytes }, { count: 2, bytes: 30_000 });
    assert.ok(stored >= 30_000 && stored < 40_000, `stored ${stored}`);
  });
  it('what compresses takes less room', async (store) => {
    await store.put(sample(200_000, 1, false));
    const { bytes, stored } = await store.stats();
    assert.ok(stored < bytes * 0.7, `${stored} of ${bytes}`);
  });

  it('a writer takes bytes in any pieces', async (store) => {
    for (const [size, step] of [
      [0, 1],
      [10, 3],
      [70_000, 1000],
      [1_500_000, 65_536],
      [1_500_000, 1_048_577],
    ]) {
      const bytes = sample(size!, step!, false);
      const writer = store.writer();
      for (let at = 0; at < size!; at += step!) await writer.write(bytes.subarray(at, at + step!));
      assert.deepEqual(await writer.commit(), { ref: refOf(bytes), size });
      await readsAs(store, bytes);
    }
  });
  it("a writer's caller may use its buffer again", async (store) => {
    for (const times of [3, 30]) {
      const buffer = Buffer.alloc(65_536);
      const writer = store.writer();
      for (let i = 0; i < times; i++) await writer.write(buffer.fill(i));
      buffer.fill(255);
      const { ref } = await writer.commit();
      const bytes = Buffer.concat(Array.from({ length: times }, (_, i) => Buffer.alloc(65_536, i)));
      assert.equal(ref, refOf(bytes));
      await readsAs(store, bytes);
    }
  });
  it('nothing is there before the commit, nor after an abort', async (store) => {
    for (const size of [5000, 2 * MEBIBYTE]) {
      const bytes = sample(size, 4);
      const writer = store.writer();
      await writer.write(bytes);
      assert.equal(await store.stat(refOf(bytes)), undefined);
      await writer.abort();
      await writer.abort();
      assert.equal(await store.stat(refOf(bytes)), undefined);
      await assert.rejects(writer.commit(), MailError);
      await assert.rejects(writer.write(bytes), MailError);
    }
    assert.equal((await store.stats()).count, 0);
  });
  it('an abort after the commit changes nothing', async (store) => {
    for (const size of [5000, 2 * MEBIBYTE]) {
      const bytes = sample(size, 4);
      const writer = store.writer();
      await writer.write(bytes);
      await writer.commit();
      await writer.abort();
      await readsAs(store, bytes);
      await assert.rejects(writer.commit(), MailError);
    }
  });
  it('writers and puts of the same bytes meet', async (store) => {
    const bytes = sample(2 * MEBIBYTE, 6, false);
    const writers = [store.writer(), store.writer(), store.writer()];
    for (const writer of writers) await writer.write(bytes);
    const infos = await Promise.all([...writers.map((writer) => writer.commit()), store.put(bytes)]);
    assert.equal(new Set(infos.map((info) => info.ref)).size, 1);
    assert.equal((await store.stats()).count, 1);
    await readsAs(store, bytes);
  });

  it('closing and opening keeps everything', async (store, fixture) => {
    const all = [sample(0, 0), sample(900, 1), sample(60_000, 2, false), sample(MEBIBYTE + 1, 3)];
    for (const bytes of all) await store.put(bytes);
    const before = await store.stats();
    const again = await fixture.reopen();
    assert.deepEqual(await again.stats(), before);
    for (const bytes of all) await readsAs(again, bytes);
    await again.put(sample(900, 5));
    await readsAs(again, sample(900, 5));
    await again.put(all[1]!);
    assert.equal((await again.stats()).count, 5);
  });
  it('a close waits for the puts at work', async (store, fixture) => {
    const all = Array.from({ length: 20 }, (_, i) => sample(2000, i));
    const puts = all.map((bytes) => store.put(bytes));
    const again = await fixture.reopen();
    await Promise.all(puts);
    for (const bytes of all) await readsAs(again, bytes);
  });
  it('what was acknowledged is there after a kill', async (store, fixture) => {
    const all = Array.from({ length: 60 }, (_, i) => sample(i === 30 ? MEBIBYTE + 1 : 3000 + i, i, i % 3 === 0));
    await Promise.all(all.map((bytes) => store.put(bytes)));
    const again = await fixture.afterKill();
    for (const bytes of all) await readsAs(again, bytes);
    assert.equal((await again.stats()).count, 60);
    assert.deepEqual(await again.verify(false), []);
  });
  it('a blob that is half written at a kill is not there', async (store, fixture) => {
    const bytes = sample(2 * MEBIBYTE, 1);
    const writer = store.writer();
    await writer.write(bytes);
    const again = await fixture.afterKill();
    assert.equal(await again.stat(refOf(bytes)), undefined);
    assert.deepEqual(await again.verify(false), []);
    await again.put(bytes);
    await readsAs(again, bytes);
    await writer.abort();
  });

  it('a backup has every blob committed before, and is a store of its own', async (store, fixture) => {
    const all = Array.from({ length: 150 }, (_, i) => sample(i === 9 ? MEBIBYTE + 9 : 4000, i));
    await Promise.all(all.map((bytes) => store.put(bytes)));
    const copy = await fixture.fromBackup();
    for (const bytes of all) await readsAs(copy, bytes);
    assert.deepEqual(await copy.verify(false), []);
    for (let i = 0; i < 50; i++) await copy.put(sample(3000, 1000 + i));
    for (let i = 0; i < 50; i++) await store.put(sample(3000, 2000 + i));
    assert.deepEqual(await store.verify(false), []);
    assert.deepEqual(await copy.verify(false), []);
    const again = await fixture.reopen();
    for (const bytes of all) await readsAs(again, bytes);
    for (let i = 0; i < 50; i++) await readsAs(again, sample(3000, 2000 + i));
    assert.equal(await again.stat(refOf(sample(3000, 1000))), undefined);
  });
  it('puts go on while a backup and a verification run', async (store, fixture) => {
    await Promise.all(Array.from({ length: 100 }, (_, i) => store.put(sample(4000, i))));
    const maintenance = [store.verify(false), fixture.fromBackup()] as const;
    const all = Array.from({ length: 100 }, (_, i) => sample(4000, 500 + i));
    for (const bytes of all) await store.put(bytes);
    assert.deepEqual(await maintenance[0], []);
    await maintenance[1];
    for (const bytes of all) await readsAs(store, bytes);
  });
}
