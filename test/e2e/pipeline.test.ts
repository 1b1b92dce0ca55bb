/**
 * Stages on a real queue, with handlers that hang and throw: what is stuck delays only what needs it, a failing stage
 * delivers exactly once, and its policy decides what its absence means.
 */

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { ServiceBroker } from 'moleculer';
import { type StageSpec, stageSpec } from '../../core/filter/stages.ts';
import type { Stage } from '../../core/filter/verdict.ts';
import type { BlobStore } from '../../core/ports/blob-store.ts';
import type { MessageRecord } from '../../core/ports/queue.ts';
import { EmbeddedMailStore } from '../../drivers/embedded/mail-store.ts';
import { EmbeddedQueue } from '../../drivers/embedded/queue.ts';
import { attachContext, type NodeContext } from '../../mixins/context.ts';
import { skipAbsentStages } from '../../mixins/maintenance.ts';
import { Intake, Pace } from '../../mixins/pace.ts';
import { type RunHandler, type RunResult, StageFailure, StageRunner, skipped } from '../../mixins/stage-runner.ts';
import { contentInput, INBOX, TestAccount } from '../contract/mail-store-fixtures.ts';
import { ALL, delivery, idOf, message, NOW, plan } from '../contract/queue-fixture.ts';
import { eventually } from '../support/clients.ts';

const RESULT: RunResult = { result: 'done', score: null, reasons: [], version: '1', headers: [], facts: {} };
const settled: RunHandler = async () => RESULT;
const hangs: RunHandler = () => new Promise(() => undefined);

class Scene {
  readonly folder: string;
  readonly queue: EmbeddedQueue;
  readonly clock = { now: NOW + 1000 };
  /** Events that runners reported. */
  readonly told: string[] = [];
  readonly #runners: StageRunner[] = [];

  private constructor(folder: string) {
    this.folder = folder;
    this.queue = new EmbeddedQueue({ folder, now: () => this.clock.now });
  }

  static async open(t: TestContext): Promise<Scene> {
    const scene = new Scene(await mkdtemp(join(tmpdir(), 'mailmesh-pipeline-')));
    await scene.queue.open();
    t.after(async () => {
      await Promise.all(scene.#runners.map((runner) => runner.stop(0)));
      await scene.queue.close();
      await rm(scene.folder, { recursive: true });
    });
    return scene;
  }

  /** Runs a stage; its pauses between tries take no time worth waiting for. */
  run(stage: Stage, handler: RunHandler, more: Partial<StageSpec> = {}, concurrency = 32): StageRunner {
    const runner = new StageRunner({
      spec: { ...stageSpec(stage), backoffMs: 1, backoffMsMax: 2, ...more },
      queue: this.queue,
      // No handler here reads a message.
      blobs: {} as BlobStore,
      handler,
      concurrency,
      pace: new Pace(new Intake()),
      now: () => this.clock.now++,
      random: Math.random,
      report: (event) => void this.told.push(event),
      observe: () => undefined,
    });
    this.#runners.push(runner);
    runner.start();
    return runner;
  }

  /** A message's record, once it has this state. */
  state(number: number, state: MessageRecord['state']): Promise<MessageRecord> {
    return eventually(`message ${number} that is ${state}`, async () => {
      const record = await this.queue.show(idOf(number));
      return record?.state === state ? record : undefined;
    });
  }
}

const jobOf = (record: MessageRecord, stage: Stage) => record.jobs.find((job) => job.stage === stage)!;

test('ten messages stuck in a stage that hangs do not delay the eleventh, which does not need it', async (t) => {
  const scene = await Scene.open(t);
  const needy = plan(['attachments'], ['delivery', 'attachments']);
  for (let number = 1; number <= 10; number++) await scene.queue.accept(message(number), needy);
  let hanging = 0;
  scene.run('attachments', () => {
    hanging++;
    return new Promise(() => undefined);
  });
  scene.run('delivery', settled);
  await eventually('ten hanging handlers', () => (hanging === 10 ? true : undefined));
  await scene.queue.accept(message(11), plan(['authentication'], ['delivery', 'authentication']));
  const begun = performance.now();
  scene.run('authentication', settled);
  await scene.state(11, 'done');
  assert.ok(performance.now() - begun < 5_000);
  for (let number = 1; number <= 10; number++) {
    const record = (await scene.queue.show(idOf(number)))!;
    assert.deepEqual([jobOf(record, 'attachments').state, jobOf(record, 'delivery').state], ['running', 'blocked']);
  }
});

test('stages that do not need each other run side by side', async (t) => {
  const scene = await Scene.open(t);
  await scene.queue.accept(message(1), ALL);
  let meet = (): void => undefined;
  const met = new Promise<void>((resolve) => {
    meet = resolve;
  });
  // Each waits for the other: one after the other they would never end.
  const arrived = new Set<string>();
  const waits =
    (name: string): RunHandler =>
    async () => {
      arrived.add(name);
      if (arrived.size === 2) meet();
      await met;
      return RESULT;
    };
  scene.run('authentication', waits('authentication'));
  scene.run('attachments', waits('attachments'));
  for (const stage of ['spam', 'placement', 'delivery'] as const) scene.run(stage, settled);
  await scene.state(1, 'done');
});

test('a stage that throws three times and then works delivers exactly once', async (t) => {
  const scene = await Scene.open(t);
  const store = new EmbeddedMailStore({ folder: scene.folder, shards: 1, now: () => scene.clock.now });
  await store.open();
  t.after(() => store.close());
  const account = await TestAccount.create(store);
  await scene.queue.accept(message(1), plan(['delivery']));
  let tries = 0;
  scene.run('delivery', async ({ job }) => {
    tries++;
    assert.equal(job.attempt, tries);
    // The copy is made each time, as by a process that dies before it can say so.
    const [result] = (
      await account.commit({
        t: 'append',
        mailbox: INBOX,
        content: contentInput(),
        flags: [],
        internalDate: 0,
        dedupe: `${job.queueId} alice`,
        quota: 'enforce',
      })
    ).results;
    assert.ok(result?.ok === true && result.t === 'append');
    assert.equal(result.duplicate, tries > 1);
    if (tries === 1) throw new Error('first');
    if (tries === 2) throw new StageFailure('second', [delivery('alice@mail.localhost')]);
    if (tries === 3) throw 'not even an error';
    return { ...RESULT, deliveries: job.deliveries.length > 0 ? [] : [delivery('alice@mail.localhost')] };
  });
  const record = await scene.state(1, 'done');
  assert.equal(tries, 4);
  assert.equal(record.deliveries.length, 1);
  assert.equal((await account.mailbox(INBOX)).total, 1);
});

test('a handler that gives no answer is given up at its deadline, and tried again', async (t) => {
  const scene = await Scene.open(t);
  await scene.queue.accept(message(1), plan(['spam']));
  let tries = 0;
  let aborted: unknown;
  scene.run(
    'spam',
    ({ signal }) => {
      if (++tries === 2) return Promise.resolve(RESULT);
      signal.addEventListener('abort', () => {
        aborted = signal.reason;
      });
      return new Promise(() => undefined);
    },
    { deadlineMs: 30 },
  );
  const record = await scene.state(1, 'done');
  assert.match(String(aborted), /no verdict within 30 ms/);
  assert.equal(record.verdicts.spam?.skipped, false);
});

test('a stage that may be missed is skipped after its last try, and the verdict says why', async (t) => {
  const scene = await Scene.open(t);
  await scene.queue.accept(message(1), plan(['spam'], ['placement', 'spam']));
  scene.run('spam', () => Promise.reject(new Error('the model is gone')), { attemptsMax: 3 });
  let seen: unknown;
  scene.run('placement', async ({ job }) => {
    seen = job.verdicts.spam;
    return RESULT;
  });
  const record = await scene.state(1, 'done');
  const verdict = record.verdicts.spam!;
  assert.deepEqual(
    [verdict.skipped, verdict.result, verdict.reasons],
    [true, 'skipped', ['gave up after 3 tries: the model is gone']],
  );
  assert.deepEqual(seen, verdict, 'the next stage is told');
});

test('a stage that must not be missed ends in the dead letters, from which operators retry and drop', async (t) => {
  const scene = await Scene.open(t);
  for (const number of [1, 2, 3]) await scene.queue.accept(message(number), plan(['delivery']));
  let broken = true;
  scene.run(
    'delivery',
    async ({ job }) => {
      if (job.queueId === idOf(3)) throw new StageFailure('the account is no more', [], true);
      if (broken) throw new Error('the mailbox is locked');
      return { ...RESULT, deliveries: [delivery('alice@mail.localhost')] };
    },
    { attemptsMax: 3 },
  );
  for (const number of [1, 2]) {
    const job = jobOf(await scene.state(number, 'dead'), 'delivery');
    assert.deepEqual([job.state, job.attempts, job.lastError], ['dead', 3, 'the mailbox is locked']);
  }
  const hopeless = jobOf(await scene.state(3, 'dead'), 'delivery');
  assert.equal(hopeless.attempts, 1, 'what can not help is not tried again');
  const [depth] = (await scene.queue.depth(scene.clock.now)).filter(({ stage }) => stage === 'delivery');
  assert.equal(depth?.dead, 3);

  broken = false;
  assert.equal(await scene.queue.retry(idOf(1)), 1);
  assert.equal((await scene.state(1, 'done')).deliveries.length, 1);
  assert.equal(await scene.queue.drop(idOf(2), 'a test'), true);
  assert.equal((await scene.state(2, 'dropped')).deliveries.length, 0);
  assert.equal(await scene.queue.retry(idOf(2)), 0);
});

test('a stop ends handlers that hang, and the next start tries their jobs again', async (t) => {
  const scene = await Scene.open(t);
  await scene.queue.accept(message(1), plan(['spam']));
  let began = (): void => undefined;
  const begun = new Promise<void>((resolve) => {
    began = resolve;
  });
  const runner = scene.run('spam', (context) => {
    began();
    return hangs(context);
  });
  await begun;
  await runner.stop(0);
  assert.equal((await scene.queue.show(idOf(1)))?.state, 'queued');
  scene.run('spam', settled);
  await scene.state(1, 'done');
});

/** One slot, held by the first of three jobs that were claimed together, for longer than any may wait. */
async function oneSlot(t: TestContext): Promise<{ scene: Scene; begun: string[]; letGo: () => void }> {
  const scene = await Scene.open(t);
  let elapsed = 0;
  const clock = performance.now.bind(performance);
  t.mock.method(performance, 'now', () => clock() + elapsed);
  for (let number = 1; number <= 3; number++) await scene.queue.accept(message(number), plan(['delivery']));
  let letGo = (): void => undefined;
  const held = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  const begun: string[] = [];
  const handler: RunHandler = async ({ job }) => {
    begun.push(job.queueId);
    if (begun.length === 1) await held;
    return RESULT;
  };
  scene.run('delivery', handler, {}, 1);
  await eventually('a job at work and two that wait', async () => {
    const records = await Promise.all([1, 2, 3].map((number) => scene.queue.show(idOf(number))));
    return records.every((record) => jobOf(record!, 'delivery').state === 'running') ? true : undefined;
  });
  elapsed = 9_000;
  return { scene, begun, letGo };
}

test('jobs that wait for a slot for long are done as soon as there is one', async (t) => {
  const { scene, letGo } = await oneSlot(t);
  letGo();
  for (const number of [1, 2, 3]) {
    const { attempts } = jobOf(await scene.state(number, 'done'), 'delivery');
    assert.equal(attempts, 1);
  }
});

test('jobs whose lease has ended meanwhile, and that others were given, are not done twice', async (t) => {
  const { scene, begun, letGo } = await oneSlot(t);
  scene.clock.now += 200_000;
  const taken = await scene.queue.claim('delivery', { max: 9, leaseMs: 60_000, now: scene.clock.now });
  assert.equal(taken.length, 3);
  letGo();
  for (const job of taken)
    assert.ok(await scene.queue.settle(job, skipped(stageSpec('delivery'), 'elsewhere', scene.clock.now, 0)));
  // There is one slot: what waited was decided about before this one.
  await scene.queue.accept(message(4), plan(['delivery']));
  for (const number of [1, 2, 3, 4]) await scene.state(number, 'done');
  assert.deepEqual(begun, [idOf(1), idOf(4)]);
});

test('a queue that cannot be asked is told of once, and again when it could be meanwhile', async (t) => {
  const scene = await Scene.open(t);
  const claim = scene.queue.claim.bind(scene.queue);
  let calls = 0;
  let isAway = true;
  scene.queue.claim = async (...asked) => {
    calls++;
    if (isAway) throw new Error('the database is away');
    return claim(...asked);
  };
  const runner = scene.run('delivery', settled);
  const tryAgain = async (): Promise<void> => {
    const before = calls;
    await eventually('a claim', () => {
      runner.wake();
      return calls > before ? true : undefined;
    });
  };
  for (let i = 0; i < 3; i++) await tryAgain();
  assert.deepEqual(scene.told, ['stage.claim-failed']);
  isAway = false;
  await scene.queue.accept(message(1), plan(['delivery']));
  await scene.state(1, 'done');
  isAway = true;
  for (let i = 0; i < 2; i++) await tryAgain();
  assert.deepEqual(scene.told, ['stage.claim-failed', 'stage.claim-failed']);
});

test('jobs are taken up and settled whatever the clock does', async (t) => {
  const scene = await Scene.open(t);
  await scene.queue.accept(message(1), plan(['spam'], ['placement', 'spam']));
  scene.clock.now -= 3_600_000;
  scene.run('spam', async () => {
    scene.clock.now -= 3_600_000;
    return RESULT;
  });
  scene.run('placement', settled);
  await scene.state(1, 'done');
  scene.clock.now += 24 * 3_600_000;
  await scene.queue.accept(message(2), plan(['spam'], ['placement', 'spam']));
  await scene.state(2, 'done');
});

test('jobs of a stage that runs nowhere are skipped when its policy says so, and no others', async (t) => {
  const scene = await Scene.open(t);
  const broker = new ServiceBroker({ logger: false });
  const log = { warn: () => undefined };
  attachContext(broker, {
    mesh: { isConnected: true },
    stores: { queue: scene.queue },
    now: () => scene.clock.now,
    log,
  } as unknown as NodeContext);
  broker.createService({ name: 'authentication' });
  await broker.start();
  t.after(() => broker.stop());
  const stages = plan(['authentication'], ['attachments'], ['delivery', 'attachments']);
  await scene.queue.accept(message(1), stages);
  const states = async (number: number) => (await scene.queue.show(idOf(number)))!.jobs.map(({ state }) => state);

  scene.clock.now = NOW + stageSpec('attachments').absentMsMax! - 1_000;
  await skipAbsentStages(broker);
  assert.deepEqual(await states(1), ['ready', 'ready', 'blocked'], 'it may still come up');
  await scene.queue.accept(message(200_000, { acceptedAt: scene.clock.now }), stages);
  scene.clock.now += 2_000;
  await skipAbsentStages(broker);
  assert.deepEqual(await states(1), ['ready', 'done', 'ready'], 'one that runs and one that must not be missed wait');
  const verdict = (await scene.queue.show(idOf(1)))!.verdicts.attachments!;
  assert.deepEqual([verdict.skipped, verdict.reasons], [true, ['the stage runs nowhere']]);
  assert.deepEqual(await states(200_000), ['ready', 'waiting', 'blocked'], 'a younger message waits for its time');
  scene.clock.now += stageSpec('attachments').absentMsMax!;
  await skipAbsentStages(broker);
  assert.deepEqual(await states(200_000), ['ready', 'done', 'ready']);
});
