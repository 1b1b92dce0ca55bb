/**
 * Which processes that hold claims are alive: each keeps a document fresh, and the jobs of one that stopped to are given
 * out again at once, long before their leases end. A process that was stopped for too long and comes back goes on under a
 * new name, so nothing that it claims then is taken for the dead one's.
 */

import { TemporaryError } from '../../core/mail/errors.ts';
import type { QueueId } from '../../core/mail/ids.ts';
import type { Mongo } from './mongo.ts';
import type { Collection } from './mongo-collection.ts';
import type { Identified } from './mongo-types.ts';
import { released } from './queue-changes.ts';
import { duePath, type QueueDocument } from './queue-document.ts';
import { hasShape } from './queue-shape.ts';
import type { QueueWriter } from './queue-writer.ts';

export interface Session extends Identified {
  /** Of the node; a process of the same name takes the place of an earlier one. */
  readonly node: string;
  readonly until: number;
  /** Whose jobs it may hold. */
  readonly stages: readonly string[];
  /** It is being buried: never renewed. */
  readonly gone: boolean;
  /** The newest format of documents that it knows. */
  readonly knows: number;
  /** The format that it has seen the database to have, and writes. */
  readonly writes: number;
}

/** No lease is longer. */
const LEASE_MS_MAX = 600_000;
export const SESSIONS = 'queue-sessions';
const PAGE = 200;
const TTL_MS = 10_000;
const RENEW_MS = 3_000;
const FOUND_MAX = 20;

interface SessionsOptions {
  readonly mongo: Pick<Mongo, 'collection' | 'record'>;
  readonly node: string;
  /** The server's time. */
  readonly now: () => number;
  readonly newName: () => string;
  /** Gives out again what the process held of these stages. */
  readonly release: (name: string, stages: readonly string[]) => Promise<void>;
  /** Called every few seconds, when it has been renewed. */
  readonly renewed: () => void;
}

export class Sessions {
  readonly #options: SessionsOptions;
  readonly #sessions: Collection<Session>;
  #name: string;
  #until = 0;
  /** Until then one of this name was to be taken for alive when this process began. */
  #twinUntil = 0;
  #stages: readonly string[] = [];
  /** Since when this process has been seen by all without a gap. */
  #freshSince = 0;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #renewing: Promise<void> = Promise.resolve();

  constructor(options: SessionsOptions) {
    this.#options = options;
    this.#sessions = options.mongo.collection<Session>(SESSIONS);
    this.#name = options.newName();
  }

  /** Of this process in tokens. */
  get name(): string {
    return this.#name;
  }

  async open(): Promise<void> {
    await this.#sessions.createIndex({ until: 1 });
    const { node } = this.#options;
    const before = node === '' ? [] : await this.#sessions.find({ filter: { node }, limit: FOUND_MAX });
    this.#twinUntil = Math.max(0, ...before.filter(({ gone }) => !gone).map(({ until }) => until));
    await this.#renewed();
    for (const session of before) await this.#bury(session);
    this.#timer = setInterval(() => {
      this.#running ??= this.#tick().finally(() => {
        this.#running = undefined;
      });
    }, RENEW_MS).unref();
  }

  /** What this process still holds is free, as soon as the database is there. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#running;
    if (this.#until === 0) return;
    try {
      await this.#bury({ _id: this.#name, stages: this.#stages, until: this.#until });
    } catch (error) {
      // While the database is away: others bury it when its time is over.
      if (!(error instanceof TemporaryError)) throw error;
    }
  }

  /** To be called before a first claim of the stage. */
  async note(stage: string): Promise<void> {
    this.#stages = [...this.#stages, stage];
    await this.#renewed();
  }

  /**
   * To be called before each claim: a process that was stopped for too long must have its new name first, or what it
   * claims is released with what it held before.
   */
  async fresh(): Promise<void> {
    if (this.#options.now() > this.#until) await this.#renewed();
  }

  /** Nodes of other processes that are alive, by name. */
  async others(): Promise<readonly string[]> {
    const { now, node } = this.#options;
    const alive = await this.#sessions.find({ filter: { until: { $gt: now() }, gone: false }, fields: ['node'] });
    return [...new Set(alive.map((one) => one.node))].filter((name) => name !== node && name !== '').sort();
  }

  /**
   * Whether another living process goes by this node's name: one whose place this one took has said since that it lives.
   * Right after the start, what was found then is as good as that.
   */
  async hasTwin(): Promise<boolean> {
    const { now, node } = this.#options;
    if (now() < this.#twinUntil) return true;
    const filter = { node, until: { $gt: now() }, gone: false, _id: { $ne: this.#name } };
    return node !== '' && (await this.#sessions.find({ filter, limit: 1 })).length > 0;
  }

  async #tick(): Promise<void> {
    try {
      await this.#options.mongo.record.refresh();
      await this.#renewed();
      this.#options.renewed();
      const now = this.#options.now();
      // When the database was away nobody could renew: all get the time to.
      if (now - this.#freshSince < TTL_MS) return;
      const gone = await this.#sessions.find({ filter: { until: { $lt: now } }, limit: FOUND_MAX });
      for (const session of gone) await this.#bury(session);
    } catch (error) {
      // The database is away; those who need it say so.
      if (!(error instanceof TemporaryError)) throw error;
    }
  }

  /** One after the other: two at once might both find the name taken. */
  #renewed(): Promise<void> {
    const renewed = this.#renewing.then(() => this.#renew());
    this.#renewing = renewed.catch(() => {});
    return renewed;
  }

  async #renew(): Promise<void> {
    const { now, node, newName, mongo } = this.#options;
    const at = now();
    if (at > this.#until) this.#freshSince = at;
    const session = { node, until: at + TTL_MS, stages: this.#stages, gone: false, ...formats(mongo.record) };
    const isFirst = this.#until === 0;
    if (
      isFirst ||
      (await this.#sessions.updateOne({ _id: this.#name, gone: false }, { $set: session })).matched === 0
    ) {
      if (!isFirst) this.#name = newName();
      await this.#sessions.insertOne({ _id: this.#name, ...session });
    }
    this.#until = session.until;
  }

  /** One process does it; when that one fails the session falls due again. First the jobs, then the document. */
  async #bury({ _id, stages, until }: Pick<Session, '_id' | 'stages' | 'until'>): Promise<void> {
    const burial = { gone: true, until: this.#options.now() + TTL_MS };
    if ((await this.#sessions.updateOne({ _id, until }, { $set: burial })).matched === 0) return;
    // One that is damaged must not stop whoever buries it; its jobs are free when their leases end.
    await this.#options.release(_id, Array.isArray(stages) ? stages : []);
    await this.#sessions.deleteOne({ _id });
  }
}

const formats = ({ knows, format }: Mongo['record']): Pick<Session, 'knows' | 'writes'> => ({ knows, writes: format });

/**
 * Makes ready what a process that is gone held. Only leases that still run are looked at: the others can be claimed as
 * they are. @returns the jobs, to be told of
 */
export async function releaseJobs(
  { documents, writer, now }: { documents: Collection<QueueDocument>; writer: QueueWriter; now: number },
  name: string,
  stages: readonly string[],
): Promise<readonly (readonly [stage: string, id: QueueId])[]> {
  const freed: (readonly [string, QueueId])[] = [];
  const isHeld = (document: QueueDocument): boolean =>
    hasShape(document) && document.jobs.some(({ token }) => token?.startsWith(`${name}.`) === true);
  for (const stage of stages)
    for (let after = { _id: '' as QueueId, due: now }; ; ) {
      const due = duePath(stage);
      const page = await documents.find({
        filter: {
          [due]: { $lte: now + LEASE_MS_MAX },
          $or: [{ [due]: { $gt: after.due } }, { [due]: after.due, _id: { $gt: after._id } }],
        },
        sort: { [due]: 1, _id: 1 },
        limit: PAGE,
      });
      const changes = page.filter(isHeld).map(async ({ _id }) => {
        const change = await writer.change(_id, { apply: (document) => released(document, name, now) });
        for (const one of change?.ready ?? []) freed.push([one, _id]);
      });
      await Promise.all(changes);
      if (page.length < PAGE) break;
      const last = page.at(-1)!;
      after = { _id: last._id, due: last.due[stage]! };
    }
  return freed;
}
