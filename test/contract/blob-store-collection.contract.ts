/** What every blob store driver promises about collection: two phases, grace, and that nothing alive is ever given back. */

import assert from 'node:assert/strict';
import { Fault } from '../../core/mail/errors.ts';
import type { BlobRef } from '../../core/mail/ids.ts';
import type { BlobStore } from '../../core/ports/blob-store.ts';
import { type BlobCase, readsAs, refOf, sample } from './blob-store.contract.ts';

const DAY = 86_400_000;
const MEBIBYTE = 1024 * 1024;

/** Collects with references to `live` alone. */
function collect(store: BlobStore, now: number, live: readonly Uint8Array[] = [], budgetMs = 10_000) {
  const refs = new Set(live.map(refOf));
  const isLive = async (asked: readonly BlobRef[]) => new Set(asked.filter((ref) => refs.has(ref)));
  return store.collect({ now, graceMs: DAY, budgetMs, isLive });
}

export function blobCollectionContract(it: BlobCase): void {
  it('a first call only marks, a second deletes', async (store, { clock }) => {
    const bytes = sample(3000, 1);
    await store.put(bytes);
    clock.now += DAY + 1;
    assert.deepEqual(await collect(store, clock.now), { blobs: 0, bytes: 0 });
    await readsAs(store, bytes);
    const { blobs, bytes: freed } = await collect(store, clock.now);
    assert.equal(blobs, 1);
    assert.ok(freed >= 3000 && freed < 3200, `freed ${freed}`);
    assert.equal(await store.stat(refOf(bytes)), undefined);
    await assert.rejects(store.read(refOf(bytes), 0, 1), Fault);
    assert.equal((await store.stats()).count, 0);
  });
  it('a large blob is deleted too, and its room given back', async (store, { clock }) => {
    await store.put(sample(2 * MEBIBYTE, 1));
    clock.now += DAY + 1;
    await collect(store, clock.now);
    assert.equal((await collect(store, clock.now)).blobs, 1);
    const { stored } = await store.stats();
    assert.ok(stored < 10_000, `stored ${stored}`);
  });
  it('what is referred to stays, call after call', async (store, { clock }) => {
    const [kept, lost] = [sample(3000, 1), sample(3000, 2)];
    await store.put(kept);
    await store.put(lost);
    clock.now += 2 * DAY;
    await collect(store, clock.now, [kept]);
    assert.equal((await collect(store, clock.now, [kept])).blobs, 1);
    assert.equal((await collect(store, clock.now, [kept])).blobs, 0);
    await readsAs(store, kept);
  });
  it('within its grace a blob is not even asked for', async (store, { clock }) => {
    const bytes = sample(3000, 1);
    await store.put(bytes);
    clock.now += DAY - 1;
    const asked: BlobRef[] = [];
    for (let i = 0; i < 2; i++) {
      const isLive = async (refs: readonly BlobRef[]) => {
        asked.push(...refs);
        return new Set<BlobRef>();
      };
      await store.collect({ now: clock.now, graceMs: DAY, budgetMs: 1000, isLive });
    }
    assert.deepEqual(asked, []);
    await readsAs(store, bytes);
  });
  it('putting again renews the grace', async (store, { clock }) => {
    const bytes = sample(3000, 1);
    await store.put(bytes);
    clock.now += DAY - 1;
    await store.put(bytes);
    clock.now += DAY - 1;
    await collect(store, clock.now);
    assert.equal((await collect(store, clock.now)).blobs, 0);
    await readsAs(store, bytes);
  });
  it('putting revives a dying blob', async (store, { clock }) => {
    for (const size of [3000, MEBIBYTE + 1]) {
      const bytes = sample(size, 1);
      await store.put(bytes);
      clock.now += DAY + 1;
      await collect(store, clock.now);
      await store.put(bytes);
      await collect(store, clock.now);
      await readsAs(store, bytes);
    }
  });
  it('a dying blob that is referred to by the second call lives on', async (store, { clock }) => {
    const bytes = sample(3000, 1);
    await store.put(bytes);
    clock.now += DAY + 1;
    await collect(store, clock.now);
    assert.equal((await collect(store, clock.now, [bytes])).blobs, 0);
    await collect(store, clock.now, [bytes]);
    await readsAs(store, bytes);
  });
  it('a put between the question and the deletion wins', async (store, { clock }) => {
    for (const size of [3000, MEBIBYTE + 1]) {
      const bytes = sample(size, 2);
      await store.put(bytes);
      clock.now += DAY + 1;
      await collect(store, clock.now);
      const isLive = async () => {
        await store.put(bytes);
        return new Set<BlobRef>();
      };
      await store.collect({ now: clock.now, graceMs: DAY, budgetMs: 1000, isLive });
      await readsAs(store, bytes);
    }
  });
  it('puts that race with deletion are there afterwards', async (store, { clock }) => {
    const all = Array.from({ length: 40 }, (_, i) => sample(i % 10 === 0 ? MEBIBYTE + 1 : 3000, i));
    await Promise.all(all.map((bytes) => store.put(bytes)));
    clock.now += DAY + 1;
    await collect(store, clock.now);
    const collecting = collect(store, clock.now);
    await Promise.all(all.map((bytes) => store.put(bytes)));
    await collecting;
    for (const bytes of all) await readsAs(store, bytes);
    assert.deepEqual(await store.verify(false), []);
  });
  it('a deleted blob can be put again', async (store, { clock }) => {
    for (const size of [3000, MEBIBYTE + 1]) {
      const bytes = sample(size, 1);
      await store.put(bytes);
      clock.now += DAY + 1;
      await collect(store, clock.now);
      await collect(store, clock.now);
      assert.equal(await store.stat(refOf(bytes)), undefined);
      await store.put(bytes);
      await readsAs(store, bytes);
    }
  });
  it('deleting most of many gives their room back and keeps the rest', async (store, fixture) => {
    const { clock } = fixture;
    const all = Array.from({ length: 300 }, (_, i) => sample(4000, i));
    await Promise.all(all.map((bytes) => store.put(bytes)));
    const before = await store.stats();
    const kept = all.filter((_, i) => i % 5 === 0);
    clock.now += DAY + 1;
    await collect(store, clock.now, kept);
    assert.equal((await collect(store, clock.now, kept)).blobs, 240);
    await collect(store, clock.now, kept);
    const after = await store.stats();
    assert.deepEqual([after.count, after.bytes], [60, 60 * 4000]);
    assert.ok(after.stored < before.stored * 0.5, `${after.stored} of ${before.stored}`);
    for (const bytes of kept) await readsAs(store, bytes);
    assert.deepEqual(await store.verify(false), []);
    const killed = await fixture.afterKill();
    for (const bytes of kept) await readsAs(killed, bytes);
    assert.deepEqual(await killed.verify(false), []);
    const again = await fixture.reopen();
    for (const bytes of kept) await readsAs(again, bytes);
    assert.equal((await again.stats()).count, 60);
  });
  it('reads and puts go on while room is given back', async (store, { clock }) => {
    const all = Array.from({ length: 200 }, (_, i) => sample(4000, i));
    await Promise.all(all.map((bytes) => store.put(bytes)));
    const kept = all.filter((_, i) => i % 4 === 0);
    clock.now += DAY + 1;
    await collect(store, clock.now, kept);
    let done = false;
    const collecting = collect(store, clock.now, kept).then(() => {
      done = true;
    });
    const added: Buffer[] = [];
    for (let i = 0; !done; i++) {
      await readsAs(store, kept[i % kept.length]!);
      added.push(sample(1000, 10_000 + i));
      await store.put(added.at(-1)!);
    }
    await collecting;
    for (const bytes of [...kept, ...added]) await readsAs(store, bytes);
    assert.deepEqual(await store.verify(false), []);
  });
  it('a steady stream of puts does not keep collection, counting or verification waiting', async (store, { clock }) => {
    const all = Array.from({ length: 100 }, (_, i) => sample(4000, i));
    await Promise.all(all.map((bytes) => store.put(bytes)));
    clock.now += DAY + 1;
    let done = false;
    let next = 100_000;
    const putter = async () => {
      while (!done) await store.put(sample(500, next++));
    };
    const putters = Array.from({ length: 8 }, putter);
    await collect(store, clock.now, [all[0]!]);
    assert.equal((await collect(store, clock.now, [all[0]!])).blobs, 99);
    await store.stats();
    assert.deepEqual(await store.verify(false), []);
    done = true;
    await Promise.all(putters);
    await readsAs(store, all[0]!);
    assert.equal((await store.stats()).count, next - 100_000 + 1);
  });
  it('small budgets get everything done in the end', async (store, { clock }) => {
    const all = Array.from({ length: 100 }, (_, i) => sample(4000, i));
    await Promise.all(all.map((bytes) => store.put(bytes)));
    clock.now += DAY + 1;
    let blobs = 0;
    for (let i = 0; i < 60 && blobs < 99; i++) blobs += (await collect(store, clock.now, [all[50]!], 0)).blobs;
    assert.equal(blobs, 99);
    await readsAs(store, all[50]!);
  });
  it('a mark survives, and a killed collection does no harm', async (store, fixture) => {
    const { clock } = fixture;
    const bytes = [sample(3000, 1), sample(3000, 2)];
    for (const one of bytes) await store.put(one);
    clock.now += DAY + 1;
    await collect(store, clock.now, [bytes[0]!]);
    const killed = await fixture.afterKill();
    assert.equal((await collect(killed, clock.now, [bytes[0]!])).blobs, 1);
    await readsAs(killed, bytes[0]!);
    assert.deepEqual(await killed.verify(false), []);
  });
}
