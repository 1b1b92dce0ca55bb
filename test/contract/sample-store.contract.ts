/** What every sample store driver promises (core/ports/sample-store.ts): features, the log of labels, undoing, copying. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accountId } from '../../core/mail/ids.ts';
import type { Label, SampleFeatures, SampleStore } from '../../core/ports/sample-store.ts';

export interface SampleStoreFixture {
  /** Open and empty. */
  readonly store: SampleStore;
  /** Closes the store and opens it again. */
  reopen(): Promise<SampleStore>;
  /** Another store on a copy of what a process killed now would leave. */
  afterKill(): Promise<SampleStore>;
  /** A backup of the store, opened. */
  fromBackup(): Promise<SampleStore>;
  dispose(): Promise<void>;
}

const ALICE = accountId('alice00000000000');
const BOB = accountId('bob0000000000000');
const NOW = 1_790_000_000_000;

const features = (key: string, at = NOW, size = 40): SampleFeatures => ({
  key,
  schema: 1,
  features: Uint8Array.from({ length: size }, (_, i) => (i * 7 + key.length) & 255),
  at,
});

const label = (key: string, more: Partial<Label> = {}): Label => ({
  key,
  account: ALICE,
  sample: 'm1',
  label: 'spam',
  source: 'move',
  sender: 'sender1',
  previous: 'ham',
  score: 0.25,
  model: 'v1/abcdef12',
  schema: 1,
  weight: 1,
  at: NOW,
  ...more,
});

export function sampleStoreContract(driver: string, make: () => Promise<SampleStoreFixture>): void {
  const it = (name: string, run: (store: SampleStore, fixture: SampleStoreFixture) => Promise<void>): void =>
    void test(`${driver} sample store: ${name}`, async () => {
      const fixture = await make();
      try {
        await run(fixture.store, fixture);
      } finally {
        await fixture.dispose();
      }
    });

  it('features come back byte for byte', async (store) => {
    await store.remember(features('m1', NOW, 6000));
    assert.deepEqual(await store.features('m1'), features('m1', NOW, 6000));
  });

  it('unknown features are undefined', async (store) => {
    assert.equal(await store.features('none'), undefined);
  });

  it('remembering the same key again changes nothing', async (store) => {
    await store.remember(features('m1'));
    await store.remember(features('m1', NOW + 1, 10));
    assert.deepEqual(await store.features('m1'), features('m1'));
    assert.equal((await store.stats()).features, 1);
  });

  it('unlabelled features come newest first, without those that ever had a label', async (store) => {
    for (let i = 0; i < 4; i++) await store.remember(features(`m${i}`, NOW + i));
    await store.append([label('l1', { sample: 'm2' }), label('l2', { sample: 'm2', label: 'withdrawn' })]);
    assert.deepEqual(
      (await store.unlabelled(10)).map((one) => one.key),
      ['m3', 'm1', 'm0'],
    );
    assert.deepEqual(
      (await store.unlabelled(1)).map((one) => one.key),
      ['m3'],
    );
  });

  it('a label comes back whole, with its place in the log', async (store) => {
    assert.equal(await store.append([label('l1')]), 1);
    assert.deepEqual(await store.labels({ after: 0, limit: 10 }), [{ ...label('l1'), seq: 1 }]);
  });

  it('a label without a score keeps null', async (store) => {
    await store.append([label('l1', { score: null, previous: 'none' })]);
    assert.equal((await store.newest(ALICE, 'm1'))?.score, null);
  });

  it('appending nothing is nothing', async (store) => {
    assert.equal(await store.append([]), 0);
    assert.equal((await store.stats()).labels, 0);
  });

  it('a known key is skipped, alone, among others and within one call', async (store) => {
    await store.append([label('l1')]);
    assert.equal(await store.append([label('l1', { label: 'ham' })]), 0);
    assert.equal(await store.append([label('l1'), label('l2', { sample: 'm2' }), label('l2', { sample: 'm3' })]), 1);
    assert.equal((await store.newest(ALICE, 'm1'))?.label, 'spam');
    assert.equal((await store.stats()).labels, 2);
  });

  it('a skipped label does not disturb which one is the newest', async (store) => {
    await store.append([label('l1'), label('l2', { label: 'withdrawn' })]);
    await store.append([label('l1')]);
    assert.equal((await store.newest(ALICE, 'm1'))?.key, 'l2');
  });

  it('the newest label is the last one appended, whatever its time', async (store) => {
    await store.append([label('l1', { at: NOW }), label('l2', { label: 'ham', at: NOW - 5000 })]);
    assert.equal((await store.newest(ALICE, 'm1'))?.label, 'ham');
  });

  it('newest knows withdrawn labels, and undefined for none', async (store) => {
    await store.append([label('l1'), label('l2', { label: 'withdrawn' })]);
    assert.equal((await store.newest(ALICE, 'm1'))?.label, 'withdrawn');
    assert.equal(await store.newest(BOB, 'm1'), undefined);
    assert.equal(await store.newest(ALICE, 'm2'), undefined);
  });

  it('accounts label the same message each for themselves', async (store) => {
    await store.remember(features('m1'));
    await store.append([label('a'), label('b', { account: BOB, label: 'ham' })]);
    assert.equal((await store.newest(ALICE, 'm1'))?.label, 'spam');
    assert.equal((await store.newest(BOB, 'm1'))?.label, 'ham');
    assert.equal((await store.samples(0, 10)).length, 2);
  });

  it('the log is read in pages, oldest first', async (store) => {
    await store.append(Array.from({ length: 25 }, (_, i) => label(`l${i}`, { sample: `m${i}` })));
    const first = await store.labels({ after: 0, limit: 10 });
    const second = await store.labels({ after: first.at(-1)!.seq, limit: 100 });
    assert.deepEqual(
      [...first, ...second].map((one) => one.key),
      Array.from({ length: 25 }, (_, i) => `l${i}`),
    );
  });

  it('the log of one user holds nobody else', async (store) => {
    await store.append([label('a'), label('b', { account: BOB }), label('c', { sample: 'm2' })]);
    assert.deepEqual(
      (await store.labels({ after: 0, limit: 10, account: ALICE })).map((one) => one.key),
      ['a', 'c'],
    );
  });

  it('samples are the labels in force with their features, oldest first', async (store) => {
    for (const key of ['m1', 'm2', 'm3']) await store.remember(features(key));
    await store.append([label('l1'), label('l2', { sample: 'm2', label: 'ham' }), label('l3', { sample: 'm3' })]);
    await store.append([label('l4', { label: 'ham' }), label('l5', { sample: 'm3', label: 'withdrawn' })]);
    const samples = await store.samples(0, 10);
    assert.deepEqual(
      samples.map((one) => [one.key, one.label, one.seq]),
      [
        ['l2', 'ham', 2],
        ['l4', 'ham', 4],
      ],
    );
    assert.deepEqual(samples[1]!.features, features('m1').features);
  });

  it('samples are read in pages behind a place in the log', async (store) => {
    for (let i = 0; i < 7; i++) await store.remember(features(`m${i}`));
    await store.append(Array.from({ length: 7 }, (_, i) => label(`l${i}`, { sample: `m${i}` })));
    const first = await store.samples(0, 3);
    assert.deepEqual(
      (await store.samples(first.at(-1)!.seq, 10)).map((one) => one.key),
      ['l3', 'l4', 'l5', 'l6'],
    );
    assert.deepEqual(await store.samples(7, 10), []);
  });

  it('a label whose features are not there is no sample until they are', async (store) => {
    await store.append([label('l1')]);
    assert.deepEqual(await store.samples(0, 10), []);
    await store.remember(features('m1'));
    assert.equal((await store.samples(0, 10)).length, 1);
  });

  it('counts are of labels in force, of one user about one sender', async (store) => {
    await store.append([
      label('l1'),
      label('l2', { sample: 'm2' }),
      label('l3', { sample: 'm3', label: 'ham' }),
      label('l4', { sample: 'm4', sender: 'sender2' }),
      label('l5', { sample: 'm5', account: BOB }),
    ]);
    assert.deepEqual(await store.counts(ALICE, 'sender1'), { spam: 2, ham: 1 });
    assert.deepEqual(await store.counts(ALICE, 'sender3'), { spam: 0, ham: 0 });
    await store.append([label('l6', { label: 'withdrawn' }), label('l7', { sample: 'm2', label: 'ham' })]);
    assert.deepEqual(await store.counts(ALICE, 'sender1'), { spam: 0, ham: 2 });
  });

  it('a withdrawn label can be given again', async (store) => {
    await store.remember(features('m1'));
    await store.append([label('l1'), label('l2', { label: 'withdrawn' }), label('l3')]);
    assert.deepEqual(await store.counts(ALICE, 'sender1'), { spam: 1, ham: 0 });
    assert.deepEqual(
      (await store.samples(0, 10)).map((one) => one.key),
      ['l3'],
    );
  });

  it('a user can be forgotten, and others stay', async (store) => {
    await store.remember(features('m1'));
    await store.append([label('l1'), label('l2', { label: 'ham' }), label('l3', { account: BOB })]);
    assert.equal(await store.forgetUser(ALICE), 2);
    assert.equal(await store.forgetUser(ALICE), 0);
    assert.deepEqual(
      (await store.samples(0, 10)).map((one) => one.account),
      [BOB],
    );
    assert.deepEqual(await store.counts(ALICE, 'sender1'), { spam: 0, ham: 0 });
  });

  it('places in the log are never used again', async (store, fixture) => {
    await store.append([label('l1'), label('l2', { sample: 'm2' })]);
    await store.forgetUser(ALICE);
    const again = await fixture.reopen();
    await again.append([label('l3')]);
    assert.equal((await again.newest(ALICE, 'm1'))?.seq, 3);
    assert.equal((await again.stats()).lastSeq, 3);
  });

  it('old features without labels are dropped, at most so many, oldest first', async (store) => {
    for (let i = 0; i < 6; i++) await store.remember(features(`m${i}`, NOW + i));
    await store.append([label('l1', { sample: 'm0' }), label('l2', { sample: 'm2', label: 'withdrawn' })]);
    assert.equal(await store.forget(NOW + 5, 2), 2);
    assert.equal(await store.features('m1'), undefined);
    assert.equal(await store.features('m3'), undefined);
    assert.equal(await store.forget(NOW + 5, 100), 1);
    const left = await Promise.all(['m0', 'm2', 'm5'].map((key) => store.features(key)));
    assert.ok(left.every((one) => one !== undefined));
  });

  it('labels and features survive closing and opening', async (store, fixture) => {
    await store.remember(features('m1'));
    await store.append([label('l1')]);
    const again = await fixture.reopen();
    assert.equal((await again.samples(0, 10)).length, 1);
    assert.equal(await again.append([label('l1')]), 0);
  });

  it('acknowledged labels survive the process being killed', async (store, fixture) => {
    await store.remember(features('m1'));
    await store.append([label('l1')]);
    const survivor = await fixture.afterKill();
    assert.equal((await survivor.newest(ALICE, 'm1'))?.key, 'l1');
    assert.equal((await survivor.samples(0, 10)).length, 1);
  });

  it('many calls at once are each done once', async (store) => {
    await Promise.all([
      ...Array.from({ length: 60 }, (_, i) => store.remember(features(`m${i % 30}`))),
      ...Array.from({ length: 60 }, (_, i) => store.append([label(`l${i % 30}`, { sample: `m${i % 30}` })])),
    ]);
    const stats = await store.stats();
    assert.deepEqual([stats.features, stats.labels], [30, 30]);
    assert.equal((await store.samples(0, 100)).length, 30);
  });

  it('stats count', async (store) => {
    await store.remember(features('m1'));
    await store.append([label('l1'), label('l2', { label: 'withdrawn' })]);
    const stats = await store.stats();
    assert.deepEqual([stats.features, stats.labels, stats.lastSeq], [1, 2, 2]);
    assert.ok(stats.stored > 0);
  });

  it('a backup opens with everything in it', async (store, fixture) => {
    await store.remember(features('m1'));
    await store.append([label('l1')]);
    const copy = await fixture.fromBackup();
    assert.deepEqual(await copy.features('m1'), features('m1'));
    assert.equal((await copy.samples(0, 10))[0]?.key, 'l1');
    assert.equal(await copy.append([label('l2', { sample: 'm2' })]), 1);
    assert.equal((await store.stats()).labels, 1);
  });
}
