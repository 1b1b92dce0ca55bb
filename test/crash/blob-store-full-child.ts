/** Fills a folder up to the process's file size limit; see `blob-store.test.ts`. */

import assert from 'node:assert/strict';
import { TemporaryError } from '../../core/mail/errors.ts';
import { EmbeddedBlobStore } from '../../drivers/embedded/blob-store.ts';
import { readsAs, refOf, sample } from '../contract/blob-store.contract.ts';

const folder = process.argv[2]!;
const open = async () => {
  const store = new EmbeddedBlobStore({ folder, now: () => 1 });
  await store.open();
  return store;
};
let store = await open();
const kept: Buffer[] = [];
let refused = 0;
const isFull = (error: unknown) => error instanceof TemporaryError && error.reply === 'diskFull';

for (let round = 0; round < 20; round++) {
  const bytes = Array.from({ length: 8 }, (_, i) => sample(50_000, round * 8 + i));
  const results = await Promise.allSettled(bytes.map((one) => store.put(one)));
  for (const [i, result] of results.entries()) {
    if (result.status === 'fulfilled') kept.push(bytes[i]!);
    else {
      assert.ok(isFull(result.reason), String(result.reason));
      assert.equal(await store.stat(refOf(bytes[i]!)), undefined);
      refused++;
    }
  }
}
assert.ok(kept.length > 0 && refused > 0);
await assert.rejects(store.put(sample(4_000_000, 1)), isFull);
const writer = store.writer();
await assert.rejects(
  (async () => {
    for (let i = 0; i < 60; i++) await writer.write(sample(100_000, i));
  })(),
  isFull,
);
await writer.abort();
// What still fits is taken: the partial records were cut off again.
for (let i = 0; i < 20; i++) {
  const small = sample(100, 5000 + i);
  await store.put(small);
  kept.push(small);
}
for (const bytes of kept) await readsAs(store, bytes);
assert.deepEqual(await store.verify(false), []);
await store.close();
store = await open();
for (const bytes of kept) await readsAs(store, bytes);
assert.deepEqual(await store.verify(false), []);
await store.close();
process.stdout.write(`ok ${kept.length} diskFull ${refused}\n`);
