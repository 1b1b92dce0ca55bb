/** What every lock store promises (core/ports/lock-store.ts). */

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import type { LockStore } from '../../core/ports/lock-store.ts';

interface LockFixture {
  readonly store: LockStore;
  /** Lets the store's time pass. */
  readonly pass: (ms: number) => Promise<void>;
  close(): Promise<void>;
}

export function lockStoreContract(driver: string, make: () => Promise<LockFixture>): void {
  const it = (name: string, run: (fixture: LockFixture, lock: string) => Promise<void>): void => {
    test(`${driver}: ${name}`, async () => {
      const fixture = await make();
      try {
        await run(fixture, randomUUID());
      } finally {
        await fixture.close();
      }
    });
  };

  it("a lock is one owner's until it gives it back", async ({ store }, lock) => {
    assert.equal(await store.take(lock, 'a', 60_000), true);
    assert.equal(await store.take(lock, 'b', 60_000), false);
    assert.equal(await store.take(lock, 'a', 60_000), true);
    await store.release(lock, 'b');
    assert.equal(await store.take(lock, 'b', 60_000), false);
    await store.release(lock, 'a');
    assert.equal(await store.take(lock, 'b', 60_000), true);
  });
  it('a lock that ran out goes to whoever comes', async ({ store, pass }, lock) => {
    assert.equal(await store.take(lock, 'a', 300), true);
    await pass(301);
    assert.equal(await store.take(lock, 'b', 60_000), true);
    assert.equal(await store.take(lock, 'a', 60_000), false);
  });
  it('a lock is taken from a holder that is known to be gone, and from no other', async ({ store }, lock) => {
    assert.equal(await store.holder(lock), undefined);
    assert.equal(await store.take(lock, 'a', 60_000), true);
    assert.equal((await store.holder(lock))?.owner, 'a');
    assert.equal(await store.take(lock, 'b', 60_000, 'c'), false);
    assert.equal(await store.take(lock, 'b', 60_000, 'a'), true);
    assert.equal(await store.take(lock, 'c', 60_000, 'a'), false);
  });
  it("an owner's name is taken as it is written", async ({ store }, lock) => {
    assert.equal(await store.take(lock, '$owner', 60_000), true);
    assert.equal(await store.take(lock, '$until', 60_000), false);
  });
  it('of many that want it at once, one gets it', async ({ store }, lock) => {
    const taken = await Promise.all(Array.from({ length: 8 }, (_, i) => store.take(lock, `owner ${i}`, 60_000)));
    assert.equal(taken.filter((one) => one).length, 1);
  });
}
