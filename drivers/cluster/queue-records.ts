/** Reads custody records for people and for upkeep: listings, traces, counts, and which blobs are still needed. */

import type { BlobRef, QueueId } from '../../core/mail/ids.ts';
import type { JobState, MessageRecord, MessageState, Queue, QueueDepth } from '../../core/ports/queue.ts';
import type { Collection } from './mongo-collection.ts';
import type { Filter } from './mongo-types.ts';
import { duePath, messageIdKey, NEVER, type QueueDocument, recordOf, type Stage } from './queue-document.ts';
import type { RefusedMessages } from './queue-refused.ts';
import { hasShape } from './queue-shape.ts';

const STATES = ['queued', 'dead', 'done', 'dropped'] as const satisfies readonly MessageState[];
const OPEN = ['queued', 'dead'] as const;
const FOUND_MAX = 100;
const PAGE = 200;
const FORGET_AT_ONCE = 1_000;
const REFS_AT_ONCE = 500;
/** Claimed jobs of a stage that are looked through for one that waits. */
const NEXT_DUE_MAX = 200;

export class QueueRecords {
  readonly #documents: Collection<QueueDocument>;
  readonly #refused: RefusedMessages;
  /** How far the node's clock is behind the server's. */
  readonly #behind: () => number;

  constructor(documents: Collection<QueueDocument>, refused: RefusedMessages, behind: () => number) {
    this.#documents = documents;
    this.#refused = refused;
    this.#behind = behind;
  }

  async show(id: QueueId): Promise<MessageRecord | undefined> {
    const [document, refused] = await Promise.all([this.#documents.findOne({ _id: id }), this.#refused.of([id])]);
    const refusal = refused.get(id);
    if (document !== undefined) return { ...recordOf(document, this.#behind()), refused: refusal ?? null };
    return refusal === undefined ? undefined : refusedRecord(refusal);
  }

  async list(options: {
    readonly states?: readonly MessageState[];
    readonly stage?: Stage;
    readonly cursor?: QueueId;
    readonly limit: number;
  }): Promise<MessageRecord[]> {
    const { stage, limit, cursor = '~' as QueueId } = options;
    const wanted = new Set<MessageState>(options.states ?? [...STATES, 'refused']);
    const states = (stage === undefined ? STATES : OPEN).filter((state) => wanted.has(state));
    const [documents, refused] = await Promise.all([
      Promise.all(states.map((state) => this.#listed(state, stage, cursor, limit))),
      stage === undefined && wanted.has('refused') ? this.#listedRefused(cursor, limit) : [],
    ]);
    const kept = newest(documents.flat(), limit);
    const alsoRefused = await this.#refused.of(kept.map(({ _id }) => _id));
    const records = kept.map((document) => ({
      ...recordOf(document, this.#behind()),
      refused: alsoRefused.get(document._id) ?? null,
    }));
    return [...records, ...refused].sort((a, b) => (a.queueId < b.queueId ? 1 : -1)).slice(0, limit);
  }

  async withMessageId(messageId: string): Promise<MessageRecord[]> {
    if (messageId === '') return [];
    const [documents, refused] = await Promise.all([
      this.#documents.find({ filter: { keys: messageIdKey(messageId) }, sort: { _id: -1 }, limit: FOUND_MAX }),
      this.#refused.withMessageId(messageId, FOUND_MAX),
    ]);
    const refusals = new Map(refused.map((one) => [one.queueId, one]));
    const also = await this.#refused.of(documents.map(({ _id }) => _id).filter((id) => !refusals.has(id)));
    const records = documents.map((document) => ({
      ...recordOf(document, this.#behind()),
      refused: refusals.get(document._id) ?? also.get(document._id) ?? null,
    }));
    const ids = new Set(documents.map(({ _id }) => _id));
    // One whose message was accepted under another Message-ID is that message's.
    const alone = refused.filter(({ queueId }) => !ids.has(queueId)).map(refusedRecord);
    return [...records, ...alone]
      .filter((record) => (record.accepted ?? record.refused)?.messageId === messageId)
      .sort((a, b) => (a.queueId < b.queueId ? 1 : -1))
      .slice(0, FOUND_MAX);
  }

  async nextDue(stage: Stage): Promise<number | null> {
    const due = duePath(stage);
    const filter: Filter<QueueDocument> = { [due]: { $lt: NEVER } };
    const found = await this.#documents.find({ filter, sort: { [due]: 1, _id: 1 }, limit: NEXT_DUE_MAX });
    for (const { jobs } of found.filter(hasShape)) {
      const job = jobs.find((one) => one.stage === stage);
      if (job?.state === 'waiting') return job.due - this.#behind();
    }
    return null;
  }

  /** @param now by the server's clock */
  async depth(now: number): Promise<readonly QueueDepth[]> {
    const groups = await this.#documents.group<{ _id: unknown; count: number; oldest: number }>({
      filter: { state: { $in: [...OPEN] } },
      by: '$shape',
      sums: { count: 1 },
      least: { oldest: '$at' },
    });
    const depths = new Map<string, { -readonly [K in keyof QueueDepth]: QueueDepth[K] }>();
    for (const { _id: shape, count, oldest } of groups)
      for (const part of partsOf(shape)) {
        const [stage, state] = part.split('=') as [Stage, JobState];
        if (state === 'done') continue;
        let depth = depths.get(stage);
        if (depth === undefined) {
          depth = { stage, blocked: 0, ready: 0, running: 0, waiting: 0, dead: 0, oldestMs: 0 };
          depths.set(stage, depth);
        }
        depth[state] += count;
        if (state !== 'blocked' && state !== 'dead') depth.oldestMs = Math.max(depth.oldestMs, now - oldest);
      }
    return [...depths.values()];
  }

  async liveBlobs(refs: readonly BlobRef[]): Promise<ReadonlySet<BlobRef>> {
    const live = new Set<BlobRef>();
    for (let at = 0; at < refs.length; at += REFS_AT_ONCE) {
      const asked = new Set<string>(refs.slice(at, at + REFS_AT_ONCE));
      const found = await this.#documents.find({ filter: { keys: { $in: [...asked] } }, fields: ['keys'] });
      for (const document of found) for (const key of document.keys) if (asked.has(key)) live.add(key as BlobRef);
    }
    return live;
  }

  async forget(olderThan: number, limit: number): Promise<number> {
    let forgotten = 0;
    for (const state of ['done', 'dropped'] as const)
      for (let last = '' as QueueId; forgotten < limit; ) {
        const most = Math.min(FORGET_AT_ONCE, limit - forgotten);
        const filter: Filter<QueueDocument> = { state, _id: { $gt: last } };
        const page = await this.#documents.find({ filter, sort: { _id: 1 }, limit: most, fields: ['finished'] });
        const old = page.filter(({ finished }) => finished < olderThan).map(({ _id }) => _id);
        if (old.length > 0) forgotten += await this.#documents.deleteMany({ _id: { $in: old } });
        // The records behind came later, and few of them finish much earlier than their neighbours.
        if (old.length === 0 || page.length < most) break;
        last = page.at(-1)!._id;
      }
    return forgotten + (await this.#refused.forget(olderThan, limit - forgotten));
  }

  /** All documents in some states, by pages. */
  async *pages(states: readonly QueueDocument['state'][] = STATES): AsyncGenerator<QueueDocument[]> {
    for (const state of states)
      for (let last = '' as QueueId; ; ) {
        const filter: Filter<QueueDocument> = { state, _id: { $gt: last } };
        const page = await this.#documents.find({ filter, sort: { _id: 1 }, limit: PAGE });
        if (page.length > 0) yield page;
        if (page.length < PAGE) break;
        last = page.at(-1)!._id;
      }
  }

  async copyTo(copy: Queue): Promise<void> {
    for await (const page of this.pages()) {
      const refused = await this.#refused.of(page.map(({ _id }) => _id));
      const records = page.map((document) => ({
        ...recordOf(document, this.#behind()),
        refused: refused.get(document._id) ?? null,
      }));
      await Promise.all(records.map((record) => copy.adopt(record)));
    }
    // Those that belong to a record are there by now.
    for await (const page of this.#refused.pages())
      await Promise.all(page.map((one) => copy.adopt(refusedRecord(one))));
  }

  async #listed(
    state: QueueDocument['state'],
    stage: Stage | undefined,
    before: QueueId,
    limit: number,
  ): Promise<QueueDocument[]> {
    const found: QueueDocument[] = [];
    for (let cursor = before; found.length < limit; ) {
      const most = stage === undefined ? limit : Math.max(limit, PAGE);
      const filter: Filter<QueueDocument> = { state, _id: { $lt: cursor } };
      const page = await this.#documents.find({ filter, sort: { _id: -1 }, limit: most });
      found.push(...page.filter((document) => stage === undefined || isAt(document, stage)));
      if (page.length < most) break;
      cursor = page.at(-1)!._id;
    }
    return found;
  }

  /** Refusals that no accepted message belongs to. */
  async #listedRefused(before: QueueId, limit: number): Promise<MessageRecord[]> {
    const found: MessageRecord[] = [];
    for (let cursor = before; found.length < limit; ) {
      const page = await this.#refused.before(cursor, limit);
      const ids = page.map(({ queueId }) => queueId);
      const accepted = await this.#documents.find({ filter: { _id: { $in: ids } }, fields: ['_id'] });
      const known = new Set(accepted.map(({ _id }) => _id));
      found.push(...page.filter(({ queueId }) => !known.has(queueId)).map(refusedRecord));
      if (page.length < limit) break;
      cursor = page.at(-1)!.queueId;
    }
    return found;
  }
}

/** Of a record that is damaged nothing is known. */
const partsOf = (shape: unknown): readonly string[] => (typeof shape === 'string' ? shape.split(' ') : []);

/** What lies at a stage: neither waiting for other stages nor done with it. */
const isAt = (document: QueueDocument, stage: Stage): boolean =>
  hasShape(document) &&
  document.jobs.some((job) => job.stage === stage && job.state !== 'blocked' && job.state !== 'done');

const newest = (documents: readonly QueueDocument[], limit: number): QueueDocument[] =>
  documents.toSorted((a, b) => (a._id < b._id ? 1 : -1)).slice(0, limit);

const refusedRecord = (refused: NonNullable<MessageRecord['refused']>): MessageRecord => ({
  queueId: refused.queueId,
  state: 'refused',
  accepted: null,
  refused,
  jobs: [],
  verdicts: {},
  deliveries: [],
  finishedAt: refused.refusedAt,
});
