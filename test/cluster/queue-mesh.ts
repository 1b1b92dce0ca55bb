/** Several nodes' queues on servers of a test's own, with workers that run every stage, and the count of what happened. */

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { deliveryPlan, STAGE_TABLE, stageSpec } from '../../core/filter/stages.ts';
import type { Stage } from '../../core/filter/verdict.ts';
import { TemporaryError } from '../../core/mail/errors.ts';
import { type QueueId, queueId } from '../../core/mail/ids.ts';
import type { BlobStore } from '../../core/ports/blob-store.ts';
import type { Queue } from '../../core/ports/queue.ts';
import { Mongo } from '../../drivers/cluster/mongo.ts';
import { Nats } from '../../drivers/cluster/nats.ts';
import { ClusterQueue } from '../../drivers/cluster/queue.ts';
import { Intake, Pace } from '../../mixins/pace.ts';
import { StageRunner } from '../../mixins/stage-runner.ts';
import { message, verdict } from '../contract/queue-fixture.ts';
import { type ClusterServer, mongoServer, natsServer, withDatabase } from '../support/cluster-servers.ts';

const DONE_MS_MAX = 90_000;

export interface QueueNode {
  readonly queue: ClusterQueue;
  readonly nats: Nats;
  readonly mongo: Mongo;
  /** Lines told to the operator. */
  readonly told: string[];
  readonly runners: StageRunner[];
}

export interface NodeOptions {
  readonly stages?: readonly Stage[];
  readonly now?: () => number;
}

export class QueueMesh {
  readonly mongoAt: ClusterServer;
  readonly natsAt: ClusterServer;
  readonly natsUrl: string;
  readonly name = `t${randomBytes(5).toString('hex')}`;
  readonly acknowledged = new Set<QueueId>();
  /** How often each message's stage was settled, as its worker was told. */
  readonly settled = new Map<string, number>();
  refusals = 0;
  readonly #nodes: QueueNode[] = [];
  readonly #waiting = new Set<() => void>();

  private constructor(mongoAt: ClusterServer, natsAt: ClusterServer, natsUser: string) {
    this.mongoAt = mongoAt;
    this.natsAt = natsAt;
    this.natsUrl = natsAt.url.replace('//', `//${natsUser}`);
  }

  /** @param natsUser goes before the host in the address of NATS */
  static async start(natsArgs: readonly string[] = [], natsUser = ''): Promise<QueueMesh> {
    const [mongoAt, natsAt] = await Promise.all([mongoServer(), natsServer({ args: natsArgs })]);
    return new QueueMesh(mongoAt, natsAt, natsUser);
  }

  async node({ stages = [], now = Date.now }: NodeOptions = {}): Promise<QueueNode> {
    const told: string[] = [];
    const report = (event: string, facts: object): void => void told.push(`${event} ${JSON.stringify(facts)}`);
    const mongo = new Mongo({ url: withDatabase(this.mongoAt.url, this.name) });
    const nats = new Nats({ url: this.natsUrl, report });
    await Promise.all([mongo.open(), nats.open()]);
    const archive = (): Queue => assert.fail('no backup');
    const queue = new ClusterQueue({ mongo, nats, now, archive, report, prefix: this.name });
    await queue.open();
    const runners = stages.map((stage) => this.#runner(this.#counted(queue), stage, now));
    const node = { queue, nats, mongo, told, runners };
    this.#nodes.push(node);
    for (const runner of runners) runner.start();
    return node;
  }

  /** Accepts messages until told to stop; a TemporaryError is what a client is answered with 451. */
  async accept(queue: Queue, isEnough: () => boolean): Promise<void> {
    while (!isEnough()) {
      const now = Date.now();
      const id = queueId(now, randomBytes(7));
      try {
        await queue.accept(message(1, { queueId: id, acceptedAt: now }), deliveryPlan());
        this.acknowledged.add(id);
        this.#changed();
      } catch (error) {
        if (!(error instanceof TemporaryError)) throw error;
        this.refusals++;
      }
    }
  }

  /** Resolves when so many messages were acknowledged since the call. */
  acknowledge(queue: Queue, count: number, atOnce = 8): Promise<unknown> {
    const until = this.acknowledged.size + count;
    return Promise.all(
      Array.from({ length: atOnce }, () => this.accept(queue, () => this.acknowledged.size >= until - atOnce + 1)),
    );
  }

  /** Resolves when what was acknowledged was settled to its end, here or elsewhere; then nothing may be lost or doubled. */
  async allDone({
    queue,
  }: QueueNode): Promise<{ acknowledged: number; stored: number; duplicated: number; lost: number }> {
    const isDone = (id: QueueId): boolean => this.settled.has(`${id} delivery`);
    await this.when(() => [...this.acknowledged].every(isDone), 'all messages are done');
    let lost = 0;
    for (const id of this.acknowledged) {
      const record = await queue.show(id);
      if (record?.state !== 'done') lost++;
    }
    const duplicated = [...this.settled.values()].filter((times) => times > 1).length;
    return { acknowledged: this.acknowledged.size, stored: this.settled.size, duplicated, lost };
  }

  when(holds: () => boolean, what: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(look);
        reject(
          new Error(
            `waited too long until ${what}: ${this.acknowledged.size} acknowledged, ${this.settled.size} settled`,
          ),
        );
      }, DONE_MS_MAX);
      const look = (): void => {
        if (!holds()) return;
        clearTimeout(timer);
        this.#waiting.delete(look);
        resolve();
      };
      this.#waiting.add(look);
      look();
    });
  }

  /** A stage's settling that another process has told of. */
  count(id: string, stage: string): void {
    const key = `${id} ${stage}`;
    this.settled.set(key, (this.settled.get(key) ?? 0) + 1);
    this.#changed();
  }

  async close(): Promise<void> {
    await Promise.all(this.#nodes.flatMap(({ runners }) => runners.map((runner) => runner.stop(1_000))));
    for (const { queue, nats, mongo } of this.#nodes) {
      await queue.close();
      await Promise.all([nats.close(), mongo.close()]);
    }
    await Promise.all([this.mongoAt.close(), this.natsAt.close()]);
  }

  #changed(): void {
    for (const look of this.#waiting) look();
  }

  #counted(queue: ClusterQueue): Queue {
    return new Proxy<Queue>(queue, {
      get: (target, name) => {
        if (name === 'settle')
          return async (...args: Parameters<Queue['settle']>) => {
            const isSettled = await target.settle(...args);
            if (isSettled) this.count(args[0].queueId, args[0].stage);
            return isSettled;
          };
        const value = Reflect.get(target, name, target) as unknown;
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
  }

  #runner(queue: Queue, stage: Stage, now: () => number): StageRunner {
    return stageRunner(queue, stage, now);
  }
}

/** Runs a stage that says yes to everything. */
export function stageRunner(queue: Queue, stage: Stage, now: () => number = Date.now): StageRunner {
  const { stage: _, at, durationMs, skipped, ...result } = verdict(stage);
  return new StageRunner({
    ...{ spec: stageSpec(stage), queue, now, random: Math.random, concurrency: 8 },
    blobs: undefined as unknown as BlobStore,
    pace: new Pace(new Intake()),
    handler: async () => result,
    report: () => {},
    observe: () => {},
  });
}

export const ALL_STAGES: readonly Stage[] = STAGE_TABLE.map(({ stage }) => stage);
