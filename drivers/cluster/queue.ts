/**
 * The durable queue and custody record of a cluster. An accepted message is one MongoDB document, and that alone is the
 * truth: a claim, a verdict, a failure is one guarded update of it. NATS only carries pointers to jobs that may be ready;
 * without it claimers find their jobs in the database, slower. All times in documents are of the server's clock.
 */

import { randomBytes } from 'node:crypto';
import type { AcceptedMessage, RefusedMessage } from '../../core/mail/accepted.ts';
import type { Facts } from '../../core/mail/errors.ts';
import type { BlobRef, QueueId } from '../../core/mail/ids.ts';
import type { Damage } from '../../core/ports/blob-store.ts';
import type { Delivery, Job, MessageRecord, PlannedJob, Queue, QueueDepth } from '../../core/ports/queue.ts';
import { Grouped } from './grouped.ts';
import { ClusterLockStore } from './lock-store.ts';
import { MeshClaim } from './mesh-claim.ts';
import type { Mongo } from './mongo.ts';
import type { Collection } from './mongo-collection.ts';
import type { Nats } from './nats.ts';
import { type Change, dropped, handedOut, retried } from './queue-changes.ts';
import { Claimers, type Sweep, type Ticket } from './queue-claimers.ts';
import { documentOf, duePath, newDocument, type QueueDocument, type Stage } from './queue-document.ts';
import { Pointers } from './queue-pointers.ts';
import { QueueRecords } from './queue-records.ts';
import { RefusedMessages } from './queue-refused.ts';
import { releaseJobs, Sessions } from './queue-sessions.ts';
import { damages, examine } from './queue-verify.ts';
import { type Claim, QueueWork } from './queue-work.ts';
import { QueueWriter } from './queue-writer.ts';
import { StoreClock } from './store-clock.ts';

type Verdict = Parameters<Queue['settle']>[1];

interface ClusterQueueOptions {
  readonly mongo: Mongo;
  readonly nats: Nats;
  /** The node's clock. */
  readonly now: () => number;
  /** Makes the queue in a folder, not yet open, that a backup is written to. */
  readonly archive: (folder: string) => Queue;
  /** Unique in the mesh. A process of the same name takes the place of one that is gone. */
  readonly node?: string;
  /** Of subjects and the stream; two clusters on one NATS need two. */
  readonly prefix?: string;
  readonly report?: (event: string, facts: Facts) => void;
  /** How the looking for overdue jobs is shared with other processes; where not given, it is not. */
  readonly sweep?: Sweep;
  /** The server's clock: only tests give another one. */
  readonly storeClock?: Pick<StoreClock, 'open' | 'close' | 'now'>;
}

const ACCEPTED_AT_ONCE = 64;
const FLIGHTS_MAX = 3;
/** How often claimers look by themselves while NATS is away, when they find work and when they do not. */
const ALONE_MS = 250;
const ALONE_MS_MAX = 4_000;

const NOT_SHARED: Sweep = { slowdown: () => 1, share: () => ({ from: 0, to: 1 }) };

export class ClusterQueue implements Queue {
  readonly #options: ClusterQueueOptions;
  readonly #documents: Collection<QueueDocument>;
  readonly #clock: Pick<StoreClock, 'open' | 'close' | 'now'>;
  readonly #writer: QueueWriter;
  readonly #accepting: Grouped<QueueDocument, boolean>;
  readonly #refused: RefusedMessages;
  readonly #records: QueueRecords;
  readonly #claimers: Claimers;
  readonly #sessions: Sessions;
  readonly #pointers: Pointers;
  readonly #mesh: MeshClaim;
  readonly #work: QueueWork;
  readonly #listeners = new Set<(stage: Stage) => void>();
  /** Different from those of any other process. */
  readonly #instance = randomBytes(6).toString('hex');
  #count = 0;
  #aloneTimer: NodeJS.Timeout | undefined;
  #aloneMs = ALONE_MS;
  #newerTold: string | null = null;

  constructor(options: ClusterQueueOptions) {
    const { mongo, nats, now, node = '', prefix = 'mailmesh', report = () => {} } = options;
    this.#options = options;
    this.#clock = options.storeClock ?? new StoreClock(mongo);
    this.#documents = mongo.collection<QueueDocument>('queue');
    const newMark = (): string => `${this.#instance}.${(this.#count++).toString(36)}`;
    this.#writer = new QueueWriter(this.#documents, newMark);
    this.#accepting = new Grouped((documents) => this.#insert(documents), {
      most: ACCEPTED_AT_ONCE,
      flightsMax: FLIGHTS_MAX,
    });
    this.#refused = new RefusedMessages(mongo);
    this.#records = new QueueRecords(this.#documents, this.#refused, () => this.#clock.now() - now());
    this.#sessions = new Sessions({
      mongo,
      node,
      now: () => this.#clock.now(),
      newName: () => randomBytes(6).toString('hex'),
      release: (name, stages) => this.#release(name, stages),
      renewed: () => this.#renewed(),
    });
    const newToken = (): string => `${this.#sessions.name}.${(this.#count++).toString(36)}`;
    this.#claimers = new Claimers(newToken, options.sweep ?? NOT_SHARED);
    const receive = (stage: string, ticket: Ticket, own: boolean): void => this.#receive(stage, ticket, own);
    this.#pointers = new Pointers({
      ...{ nats, prefix, instance: this.#instance, report, receive },
      room: (stage, most) => this.#claimers.room(stage, most),
      changed: (ready) => this.#pointed(ready),
    });
    this.#mesh = new MeshClaim({
      ...{ locks: new ClusterLockStore({ mongo }), name: `mesh ${prefix}`, place: nats.place, report },
      now: () => this.#clock.now(),
      identity: () => this.#pointers.identity(),
      others: () => this.#sessions.others(),
    });
    this.#work = new QueueWork({
      documents: this.#documents,
      writer: this.#writer,
      claimers: this.#claimers,
      now: () => this.#clock.now(),
      isPointed: () => this.#pointers.isReady,
      overdue: () => this.#lookEverywhere(),
      report,
    });
  }

  async open(): Promise<void> {
    await this.#clock.open();
    await Promise.all([
      this.#documents.createIndex({ state: 1, _id: 1 }),
      this.#documents.createIndex({ keys: 1 }),
      this.#refused.open(),
    ]);
    await this.#sessions.open();
    this.#lookAlone();
    try {
      // Behind the session, which a migration looks at once it has said what it wants: one of the two sees the other.
      await this.#options.mongo.record.check();
      await this.#pointers.open();
      await this.#mesh.join();
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.#mesh.close();
    await this.#pointers.close();
    clearTimeout(this.#aloneTimer);
    await this.#sessions.close();
    this.#clock.close();
  }

  /** One line for the operator about what is wrong with the pointers' way, the mesh or the database's format, or null. */
  get trouble(): string | null {
    return this.#options.mongo.record.trouble ?? this.#mesh.trouble ?? this.#pointers.trouble;
  }

  /** Whether another living process goes by this node's name. */
  hasTwin(): Promise<boolean> {
    return this.#sessions.hasTwin();
  }

  /** Messages on the queue's subjects that were none of its own. */
  get messagesDropped(): number {
    return this.#pointers.dropped;
  }

  async accept(message: AcceptedMessage, plan: readonly PlannedJob[]): Promise<void> {
    const now = this.#clock.now();
    const fresh = { ...newDocument(message, plan, { at: this.#storeTime(message.acceptedAt), now }), mark: '' };
    const places = fresh.jobs.flatMap((job, place) => (job.state === 'ready' ? [place] : []));
    const change = handedOut(fresh, places, this.#claimers.handOut(now), now);
    let isNew = false;
    try {
      isNew = await this.#accepting.add(change.document);
    } finally {
      if (!isNew) this.#claimers.withdraw(change.handed);
    }
    if (!isNew) return;
    if (plan.length > 0) this.#writer.remember(change.document);
    this.#tellAll(message.queueId, change);
  }

  async #insert(documents: readonly QueueDocument[]): Promise<readonly boolean[]> {
    // One id twice in a group: the first counts.
    const first = new Map<QueueId, QueueDocument>();
    for (const document of documents) if (!first.has(document._id)) first.set(document._id, document);
    const there =
      first.size === 1
        ? new Set((await this.#documents.insertOne(documents[0]!)) ? [] : [documents[0]!._id])
        : await this.#documents.insertMany([...first.values()]);
    const isOurs = await this.#ours([...there].map((id) => first.get(id)!));
    return documents.map(
      (document) => first.get(document._id) === document && (!there.has(document._id) || isOurs.has(document._id)),
    );
  }

  /** Those that are there because of an attempt whose answer was lost: they hold leases that nobody else was given. */
  async #ours(documents: readonly QueueDocument[]): Promise<ReadonlySet<QueueId>> {
    const tokens = new Set(documents.flatMap(({ jobs }) => jobs.flatMap(({ token }) => token ?? [])));
    if (tokens.size === 0) return new Set();
    const stored = await this.#documents.find({ filter: { _id: { $in: documents.map(({ _id }) => _id) } } });
    const holds = ({ jobs }: QueueDocument): boolean => jobs.some(({ token }) => token !== null && tokens.has(token));
    return new Set(stored.filter(holds).map(({ _id }) => _id));
  }

  async refuse(message: RefusedMessage): Promise<void> {
    await this.#refused.add(message, this.#storeTime(message.refusedAt));
  }

  async claim(stage: Stage, { max, leaseMs, now: local }: Parameters<Queue['claim']>[1]): Promise<Job[]> {
    const now = this.#storeTime(local);
    if (!this.#claimers.has(stage)) {
      // Only stages that run somewhere are looked for.
      await this.#documents.createIndex({ [duePath(stage)]: 1, _id: 1, bucket: 1 });
      await this.#sessions.note(stage);
    }
    await this.#sessions.fresh();
    if (this.#claimers.seen(stage, leaseMs, now)) this.#pointers.follow(stage);
    const jobs = await this.#work.claim(stage, { max, leaseMs, now });
    if (jobs.length > 0) this.#aloneMs = ALONE_MS;
    return jobs;
  }

  extend(job: Claim, leaseUntil: number): Promise<boolean> {
    return this.#work.extend(job, this.#storeTime(leaseUntil));
  }

  async settle(job: Claim, verdict: Verdict, deliveries: readonly Delivery[] = []): Promise<boolean> {
    const change = await this.#work.settle(job, JSON.stringify(verdict), jsonOf(deliveries));
    if (change === undefined) return false;
    this.#tellAll(job.queueId, change);
    return true;
  }

  fail(job: Claim, error: string, retryAt: number | null, deliveries: readonly Delivery[] = []): Promise<boolean> {
    return this.#work.fail(job, error, retryAt === null ? null : this.#storeTime(retryAt), jsonOf(deliveries));
  }

  onReady(listener: (stage: Stage) => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  nextDue(stage: Stage): Promise<number | null> {
    return this.#records.nextDue(stage);
  }

  list(options: Parameters<Queue['list']>[0]): Promise<readonly MessageRecord[]> {
    return this.#records.list(options);
  }

  show(id: QueueId): Promise<MessageRecord | undefined> {
    return this.#records.show(id);
  }

  findByMessageId(messageId: string): Promise<readonly MessageRecord[]> {
    return this.#records.withMessageId(messageId);
  }

  async retry(id: QueueId, stage?: Stage): Promise<number> {
    const apply = (document: QueueDocument) => retried(document, stage, this.#clock.now());
    const change = await this.#writer.change(id, { apply });
    if (change === undefined) return 0;
    this.#tellAll(id, change);
    return change.ready!.length;
  }

  async drop(id: QueueId, why: string): Promise<boolean> {
    const apply = (document: QueueDocument) => dropped(document, why, this.#clock.now());
    return (await this.#writer.change(id, { apply })) !== undefined;
  }

  depth(now: number): Promise<readonly QueueDepth[]> {
    return this.#records.depth(this.#storeTime(now));
  }

  liveBlobs(refs: readonly BlobRef[]): Promise<ReadonlySet<BlobRef>> {
    return this.#records.liveBlobs(refs);
  }

  forget(olderThan: number, limit: number): Promise<number> {
    return this.#records.forget(this.#storeTime(olderThan), limit);
  }

  async verify(repair: boolean): Promise<readonly Damage[]> {
    const found: Damage[] = [];
    const now = this.#clock.now();
    for await (const page of this.#records.pages(['queued', 'dead']))
      for (const document of page) {
        const finding = examine(document, now);
        if (finding === undefined) continue;
        found.push(...damages(document._id, finding, repair));
        if (!repair || finding.repaired === undefined) continue;
        const apply = (current: QueueDocument): Change | undefined => {
          const repaired = examine(current, now)?.repaired;
          return repaired === undefined ? undefined : { document: repaired };
        };
        await this.#writer.change(document._id, { apply });
      }
    return found;
  }

  async adopt(record: MessageRecord): Promise<boolean> {
    if (record.accepted === null) {
      if (record.refused === null || (await this.show(record.queueId)) !== undefined) return false;
      await this.refuse(record.refused);
      return true;
    }
    const { accepted } = record;
    const document = documentOf({ ...record, accepted }, (time) => this.#storeTime(time), this.#clock.now());
    if (!(await this.#documents.insertOne(document))) return false;
    if (record.refused !== null) await this.refuse(record.refused);
    for (const { stage, state } of document.jobs) if (state === 'ready') this.#tell(stage as Stage, document._id);
    return true;
  }

  async backup(destination: string): Promise<void> {
    const archive = this.#options.archive(destination);
    await archive.open();
    try {
      await this.copyTo(archive);
    } finally {
      await archive.close();
    }
  }

  /** Every record that was there before the call, and is not forgotten meanwhile, is in `copy` when this resolves. */
  copyTo(copy: Queue): Promise<void> {
    return this.#records.copyTo(copy);
  }

  /** The node's time `local` by the server's clock. */
  #storeTime(local: number): number {
    return this.#clock.now() + (local - this.#options.now());
  }

  #renewed(): void {
    void this.#mesh.renew();
    const detail = this.#options.mongo.record.trouble;
    if (detail !== null && detail !== this.#newerTold) this.#options.report?.('database.newer', { detail });
    this.#newerTold = detail;
  }

  #receive(stage: string, ticket: Ticket, own: boolean): void {
    this.#claimers.addTicket(stage, ticket);
    // One of this process's own was told when it was sent.
    if (!own) this.#hint(stage as Stage);
  }

  #tellAll(id: QueueId, { ready = [], handed = [] }: Change): void {
    this.#claimers.hand(id, handed);
    for (const { stage } of handed) this.#hint(stage as Stage);
    for (const stage of ready) this.#tell(stage as Stage, id);
  }

  #tell(stage: Stage, id: QueueId): void {
    this.#claimers.mayHaveMore(stage);
    this.#pointers.publish(stage, id);
    this.#hint(stage);
  }

  /** Of a change that stands: what a listener does with it must not fail the call that caused it. */
  #hint(stage: Stage): void {
    for (const listener of this.#listeners) queueMicrotask(() => listener(stage));
  }

  async #release(name: string, stages: readonly string[]): Promise<void> {
    const told = await releaseJobs(
      { documents: this.#documents, writer: this.#writer, now: this.#clock.now() },
      name,
      stages,
    );
    for (const [stage, id] of told) this.#tell(stage as Stage, id);
  }

  /** Something may be ready that nobody has told of. */
  #lookEverywhere(): void {
    for (const stage of this.#claimers.stages) this.#claimers.mayHaveMore(stage);
    this.#wake();
  }

  #wake(): void {
    for (const stage of this.#claimers.stages) this.#hint(stage as Stage);
  }

  #pointed(ready: boolean): void {
    clearTimeout(this.#aloneTimer);
    this.#aloneMs = ALONE_MS;
    if (ready) this.#lookEverywhere();
    else this.#lookAlone();
  }

  /** While NATS is away nobody tells of other nodes' jobs: claimers are woken now and then. */
  #lookAlone(): void {
    this.#aloneTimer = setTimeout(
      () => {
        this.#aloneMs = Math.min(ALONE_MS_MAX, this.#aloneMs * 1.5);
        this.#wake();
        this.#lookAlone();
      },
      this.#aloneMs * (0.75 + 0.5 * Math.random()),
    ).unref();
  }
}

const jsonOf = (deliveries: readonly Delivery[]): string | null =>
  deliveries.length === 0 ? null : JSON.stringify(deliveries);
