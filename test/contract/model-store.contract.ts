/** What every model store driver promises (core/ports/model-store.ts): immutable models, one pointer, a history. */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { ClientError, Fault } from '../../core/mail/errors.ts';
import { type ModelId, modelId } from '../../core/mail/ids.ts';
import type { ModelInfo, ModelStore } from '../../core/ports/model-store.ts';

export interface ModelStoreFixture {
  /** Open and empty. */
  readonly store: ModelStore;
  reopen(): Promise<ModelStore>;
  /** Another store on a copy of what a process killed now would leave. */
  afterKill(): Promise<ModelStore>;
  fromBackup(): Promise<ModelStore>;
  /** Breaks one byte of a stored artefact. */
  damage(id: ModelId): Promise<void>;
  dispose(): Promise<void>;
}

const NOW = 1_790_000_000_000;

export const artefact = (n: number): Uint8Array => Buffer.from(`model ${n} `.repeat(200));
export const idOf = (bytes: Uint8Array): ModelId => modelId(createHash('sha256').update(bytes).digest('hex'));

const info = (
  more: Partial<ModelInfo> = {},
): Pick<ModelInfo, 'parent' | 'schema' | 'trainedTo' | 'createdAt' | 'metrics'> => ({
  parent: null,
  schema: 1,
  trainedTo: 0,
  createdAt: NOW,
  metrics: {},
  ...more,
});

export function modelStoreContract(driver: string, make: () => Promise<ModelStoreFixture>): void {
  const it = (name: string, run: (store: ModelStore, fixture: ModelStoreFixture) => Promise<void>): void =>
    void test(`${driver} model store: ${name}`, async () => {
      const fixture = await make();
      try {
        await run(fixture.store, fixture);
      } finally {
        await fixture.dispose();
      }
    });
  const put = async (store: ModelStore, count: number): Promise<ModelInfo[]> => {
    const models: ModelInfo[] = [];
    for (let n = 0; n < count; n++)
      models.push(await store.put(artefact(n), info({ parent: models[n - 1]?.id ?? null, createdAt: NOW + n })));
    return models;
  };

  it('an empty store has no model, no active one and no history', async (store) => {
    assert.deepEqual(await store.list(), []);
    assert.equal(await store.active(), undefined);
    assert.deepEqual(await store.events(10), []);
  });

  it('an artefact is a candidate named by its hash', async (store) => {
    const model = await store.put(artefact(1), info({ trainedTo: 7, metrics: { errors: 3 } }));
    assert.equal(model.id, idOf(artefact(1)));
    assert.deepEqual(
      [model.version, model.state, model.trainedTo, model.sizeBytes],
      [1, 'candidate', 7, artefact(1).length],
    );
    assert.deepEqual(model.metrics, { errors: 3 });
    assert.deepEqual(await store.list(), [model]);
  });

  it('an artefact comes back byte for byte', async (store) => {
    const bytes = Buffer.alloc(3_000_000, 'abc');
    const { id } = await store.put(bytes, info());
    assert.ok(Buffer.from(await store.load(id)).equals(bytes));
  });

  it('the same bytes again are the first entry', async (store) => {
    const first = await store.put(artefact(1), info());
    const again = await store.put(artefact(1), info({ trainedTo: 9, createdAt: NOW + 9 }));
    assert.deepEqual(again, first);
    assert.equal((await store.events(10)).length, 1);
  });

  it('versions count up and the list has the newest first', async (store) => {
    await put(store, 3);
    assert.deepEqual(
      (await store.list()).map((model) => model.version),
      [3, 2, 1],
    );
  });

  it('an unknown model cannot be loaded', async (store) => {
    await assert.rejects(store.load(idOf(artefact(5))), Fault);
  });

  it('damaged bytes are never handed out', async (store, fixture) => {
    const { id } = await store.put(artefact(1), info());
    await fixture.damage(id);
    await assert.rejects(store.load(id), Fault);
  });

  it('activating makes one active and retires the one before', async (store) => {
    const [one, two] = await put(store, 2);
    await store.activate(one!.id, 'alice', 'first', NOW + 10);
    const active = await store.activate(two!.id, 'trainer', 'better', NOW + 20);
    assert.deepEqual([active.state, active.reason], ['active', 'better']);
    assert.equal((await store.active())?.id, two!.id);
    assert.deepEqual(
      (await store.list()).map((model) => model.state),
      ['active', 'retired'],
    );
  });

  it('activating an older version rolls back', async (store) => {
    const [one, two] = await put(store, 2);
    await store.activate(one!.id, 'trainer', 'first', NOW);
    await store.activate(two!.id, 'trainer', 'second', NOW);
    await store.activate(one!.id, 'alice', 'rolled back', NOW);
    assert.equal((await store.active())?.id, one!.id);
    assert.equal((await store.list())[0]!.state, 'retired');
  });

  it('activating the active one changes nothing', async (store) => {
    const [one] = await put(store, 1);
    await store.activate(one!.id, 'trainer', 'first', NOW);
    const events = await store.events(10);
    assert.equal((await store.activate(one!.id, 'alice', 'again', NOW + 1)).reason, 'first');
    assert.deepEqual(await store.events(10), events);
  });

  it('an unknown model is neither activated nor rejected', async (store) => {
    await put(store, 1);
    const unknown = idOf(artefact(9));
    await assert.rejects(store.activate(unknown, 'alice', '', NOW), ClientError);
    await assert.rejects(store.reject(unknown, 'alice', '', NOW), ClientError);
    assert.equal(await store.active(), undefined);
  });

  it('rejecting a candidate keeps the active one', async (store) => {
    const [one, two] = await put(store, 2);
    await store.activate(one!.id, 'trainer', 'first', NOW);
    const rejected = await store.reject(two!.id, 'gate', 'more errors', NOW + 1);
    assert.deepEqual([rejected.state, rejected.reason], ['rejected', 'more errors']);
    assert.equal((await store.active())?.id, one!.id);
  });

  it('only candidates can be rejected, twice is once', async (store) => {
    const [one, two] = await put(store, 2);
    await store.activate(one!.id, 'trainer', 'first', NOW);
    await assert.rejects(store.reject(one!.id, 'gate', '', NOW), ClientError);
    await store.reject(two!.id, 'gate', 'bad', NOW);
    const events = (await store.events(20)).length;
    await store.reject(two!.id, 'gate', 'bad again', NOW);
    assert.equal((await store.events(20)).length, events);
  });

  it('a rejected model may still be activated by hand', async (store) => {
    const [one] = await put(store, 1);
    await store.reject(one!.id, 'gate', 'bad', NOW);
    assert.equal((await store.activate(one!.id, 'alice', 'I know better', NOW)).state, 'active');
  });

  it('every transition is an event with who, when and why, newest first', async (store) => {
    const [one, two] = await put(store, 2);
    await store.activate(one!.id, 'trainer', 'first', NOW + 10);
    await store.activate(two!.id, 'alice', 'better', NOW + 20);
    const events = await store.events(10);
    assert.deepEqual(
      events.map((event) => [event.version, event.from, event.to]),
      [
        [2, 'candidate', 'active'],
        [1, 'active', 'retired'],
        [1, 'candidate', 'active'],
        [2, null, 'candidate'],
        [1, null, 'candidate'],
      ],
    );
    assert.deepEqual(
      [events[0]!.who, events[0]!.why, events[0]!.at, events[0]!.model],
      ['alice', 'better', NOW + 20, two!.id],
    );
    assert.equal((await store.events(2)).length, 2);
  });

  it('pruning keeps the newest, the active one and its parent', async (store) => {
    const models = await put(store, 8);
    await store.activate(models[2]!.id, 'trainer', 'good', NOW);
    assert.equal(await store.prune(2), 4);
    assert.deepEqual(
      (await store.list()).map((model) => model.version),
      [8, 7, 3, 2],
    );
    await assert.rejects(store.load(models[0]!.id), Fault);
    assert.ok((await store.load(models[1]!.id)).length > 0);
    assert.equal(await store.prune(2), 0);
  });

  it('a version is never given twice, even after pruning', async (store, fixture) => {
    await put(store, 3);
    await store.prune(0);
    const again = await fixture.reopen();
    assert.equal((await again.put(artefact(7), info())).version, 4);
  });

  it('everything survives closing and opening', async (store, fixture) => {
    const [one] = await put(store, 2);
    await store.activate(one!.id, 'trainer', 'first', NOW);
    const before = [await store.list(), await store.active(), await store.events(10)];
    const again = await fixture.reopen();
    assert.deepEqual([await again.list(), await again.active(), await again.events(10)], before);
    assert.ok(Buffer.from(await again.load(one!.id)).equals(artefact(0)));
  });

  it('what was acknowledged survives the process being killed', async (store, fixture) => {
    const [one, two] = await put(store, 2);
    await store.activate(one!.id, 'trainer', 'first', NOW);
    await store.activate(two!.id, 'trainer', 'second', NOW);
    const survivor = await fixture.afterKill();
    assert.equal((await survivor.active())?.id, two!.id);
    assert.ok(Buffer.from(await survivor.load(two!.id)).equals(artefact(1)));
  });

  it('changes made at once are made one after the other', async (store) => {
    const models = await Promise.all(Array.from({ length: 6 }, (_, n) => store.put(artefact(n), info())));
    assert.deepEqual(new Set(models.map((model) => model.version)), new Set([1, 2, 3, 4, 5, 6]));
    await Promise.all(models.map((model) => store.activate(model.id, 'x', 'y', NOW)));
    assert.equal((await store.list()).filter((model) => model.state === 'active').length, 1);
  });

  it('a failed change does not stop the next', async (store) => {
    const failed = store.activate(idOf(artefact(9)), 'x', 'y', NOW);
    const made = store.put(artefact(1), info());
    await assert.rejects(failed, ClientError);
    assert.equal((await made).version, 1);
  });

  it('a backup opens with everything in it', async (store, fixture) => {
    const [one] = await put(store, 2);
    await store.activate(one!.id, 'trainer', 'first', NOW);
    const copy = await fixture.fromBackup();
    assert.deepEqual(await copy.list(), await store.list());
    assert.ok(Buffer.from(await copy.load(one!.id)).equals(artefact(0)));
  });
}
