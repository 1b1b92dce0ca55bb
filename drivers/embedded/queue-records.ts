/** Reads messages' records from the queue's read-only connection: whole for people, and the parts a claim needs. */

import { hash } from 'node:crypto';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { AcceptedMessage, RefusedMessage } from '../../core/mail/accepted.ts';
import type { BlobRef, QueueId } from '../../core/mail/ids.ts';
import type { Delivery, Job, JobInfo, MessageRecord, MessageState } from '../../core/ports/queue.ts';
import {
  DEAD_MESSAGE,
  DONE,
  DROPPED,
  JOB_STATES,
  MESSAGE_STATES,
  PLACES,
  QUEUED,
  type StoredPlan,
} from './queue-schema.ts';

export type Stage = Job['stage'];
type Verdicts = Job['verdicts'];

/** What a job's claimer is told about the message. */
export interface Holding {
  readonly message: AcceptedMessage;
  readonly plan: StoredPlan;
  verdicts: Verdicts;
  deliveries: readonly Delivery[];
}

interface MessageRow {
  readonly n: number;
  readonly id: string;
  readonly state: number;
  readonly finished: number | null;
}
interface JobRow {
  readonly key: number;
  readonly state: number;
  readonly due: number;
  readonly attempts: number;
  readonly error: string | null;
}
interface SettledRow {
  readonly key: number;
  readonly attempts: number;
  readonly error: string | null;
  readonly verdict: string | null;
}

const FOUND_MAX = 100;
/** Message-IDs are looked up by 48 bits of their hash, and compared whole. */
export const messageIdHash = (messageId: string): number | null =>
  messageId === '' ? null : Number.parseInt(hash('sha256', messageId, 'hex').slice(0, 12), 16);

export class QueueRecords {
  readonly #db: DatabaseSync;
  readonly #prepared = new Map<string, StatementSync>();

  constructor(db: DatabaseSync) {
    this.#db = db;
  }

  /** What claims of message number `n` are given, or undefined when it is not there. Throws where it is unreadable. */
  holding(n: number): Holding | undefined {
    const body = this.#get<{ accepted: string; plan: string }>('SELECT accepted, plan FROM bodies WHERE n = ?', n);
    if (body === undefined) return;
    const plan = JSON.parse(body.plan) as StoredPlan;
    const message = JSON.parse(body.accepted) as AcceptedMessage;
    return { message, plan, verdicts: this.#verdicts(n, plan), deliveries: this.#deliveries(n) };
  }

  show(id: QueueId): MessageRecord | undefined {
    const row = this.#get<MessageRow>('SELECT n, id, state, finished FROM messages WHERE id = ?', id);
    const refusal = this.#get<{ at: number; record: string }>('SELECT at, record FROM refused WHERE id = ?', id);
    const refused = refusal === undefined ? null : (JSON.parse(refusal.record) as RefusedMessage);
    const nothing = { accepted: null, jobs: [], verdicts: {}, deliveries: [] };
    if (row !== undefined) {
      const known = { queueId: id, state: MESSAGE_STATES[row.state]!, refused, finishedAt: row.finished };
      let holding: Holding | undefined;
      try {
        holding = this.holding(row.n);
      } catch (error) {
        // A record damaged on the disk is shown without what is lost; `verify` says what that is.
        if (!(error instanceof SyntaxError)) throw error;
      }
      if (holding === undefined) return { ...known, ...nothing };
      const { message: accepted, plan, verdicts, deliveries } = holding;
      return { ...known, accepted, jobs: this.#jobs(row.n, plan), verdicts, deliveries };
    }
    if (refusal === undefined) return;
    return { queueId: id, state: 'refused', refused, finishedAt: refusal.at, ...nothing };
  }

  /** Ids of the records that a listing is made of, newest first. */
  listed(options: {
    readonly states?: readonly MessageState[];
    readonly stage?: Stage;
    readonly cursor?: QueueId;
    readonly limit: number;
  }): QueueId[] {
    const { stage, limit, cursor = '~' } = options;
    const states = new Set<MessageState>(options.states ?? [...MESSAGE_STATES, 'refused']);
    const ids = new Set<string>();
    const add = (rows: readonly { id: string }[]) => {
      for (const { id } of rows) ids.add(id);
    };
    if (stage !== undefined) {
      const at = `EXISTS (SELECT 1 FROM jobs WHERE key BETWEEN n * ${PLACES} AND n * ${PLACES} + ${PLACES - 1}
        AND stage = ? AND state > 0)`;
      for (const state of [QUEUED, DEAD_MESSAGE])
        if (states.has(MESSAGE_STATES[state]!)) add(this.#ids(open(state, at), cursor, stage, limit));
    } else {
      for (const state of [QUEUED, DEAD_MESSAGE])
        if (states.has(MESSAGE_STATES[state]!)) add(this.#ids(open(state), cursor, limit));
      for (const state of [DONE, DROPPED])
        if (states.has(MESSAGE_STATES[state]!)) add(this.#ids(`state = ${state}`, cursor, limit));
      if (states.has('refused'))
        add(
          this.#all<{ id: string }>(
            `SELECT id FROM refused WHERE id < ? AND NOT EXISTS (SELECT 1 FROM messages WHERE messages.id = refused.id)
             ORDER BY id DESC LIMIT ?`,
            cursor,
            limit,
          ),
        );
    }
    return newest(ids, limit);
  }

  /** Ids of the records that may have the Message-ID, newest first. */
  found(messageId: string): QueueId[] {
    const mid = messageIdHash(messageId);
    if (mid === null) return [];
    const ids = new Set<string>();
    for (const table of ['messages', 'refused'])
      for (const { id } of this.#all<{ id: string }>(
        `SELECT id FROM ${table} WHERE mid = ? ORDER BY id DESC LIMIT ${FOUND_MAX}`,
        mid,
      ))
        ids.add(id);
    return newest(ids, FOUND_MAX);
  }

  nextDue(stage: Stage): number | null {
    const sql = 'SELECT due FROM jobs WHERE stage = ? AND state = 3 ORDER BY due LIMIT 1';
    return this.#get<{ due: number }>(sql, stage)?.due ?? null;
  }

  liveBlobs(refs: readonly BlobRef[]): Set<BlobRef> {
    const sql = `SELECT 1 FROM messages WHERE blob = ?1 AND state <= ${DEAD_MESSAGE}
      UNION ALL SELECT 1 FROM parts WHERE blob = ?1 LIMIT 1`;
    return new Set(refs.filter((ref) => this.#get(sql, Buffer.from(ref, 'hex')) !== undefined));
  }

  #ids(where: string, ...parameters: (string | number)[]): { id: string }[] {
    return this.#all(`SELECT id FROM messages WHERE id < ? AND ${where} ORDER BY id DESC LIMIT ?`, ...parameters);
  }

  #verdicts(n: number, plan: StoredPlan): Verdicts {
    const verdicts: Record<string, unknown> = {};
    for (const { key, verdict } of this.#settled(n))
      if (verdict !== null) verdicts[plan[key - n * PLACES]![0]] = JSON.parse(verdict);
    return verdicts as Verdicts;
  }

  #deliveries(n: number): Delivery[] {
    return this.#all<{ list: string }>('SELECT list FROM deliveries WHERE n = ? ORDER BY seq', n).flatMap(
      ({ list }) => JSON.parse(list) as Delivery[],
    );
  }

  #settled(n: number): SettledRow[] {
    return this.#all('SELECT * FROM settled WHERE key BETWEEN ? AND ?', n * PLACES, n * PLACES + PLACES - 1);
  }

  #jobs(n: number, plan: StoredPlan): JobInfo[] {
    const sql = 'SELECT key, state, due, attempts, error FROM jobs WHERE key BETWEEN ? AND ?';
    const open = this.#all<JobRow>(sql, n * PLACES, n * PLACES + PLACES - 1);
    const settled = this.#settled(n);
    return plan.map(([stage, needs], place): JobInfo => {
      const common = { stage: stage as Stage, needs: needs.map((need) => plan[need]![0] as Stage) };
      const job = open.find((row) => row.key === n * PLACES + place);
      if (job !== undefined) {
        const { attempts, due: dueAt, error: lastError } = job;
        return { ...common, state: JOB_STATES[job.state]!, attempts, dueAt, lastError };
      }
      // A row without a verdict: the message was dropped.
      const row = settled.find((one) => one.key === n * PLACES + place);
      const state = row?.verdict == null ? 'dead' : 'done';
      return { ...common, state, attempts: row?.attempts ?? 0, dueAt: 0, lastError: row?.error ?? null };
    });
  }

  #statement(sql: string): StatementSync {
    let statement = this.#prepared.get(sql);
    if (statement === undefined) {
      statement = this.#db.prepare(sql);
      this.#prepared.set(sql, statement);
    }
    return statement;
  }
  #get<T>(sql: string, ...parameters: (string | number | Uint8Array)[]): T | undefined {
    return this.#statement(sql).get(...parameters) as T | undefined;
  }
  #all<T>(sql: string, ...parameters: (string | number | Uint8Array)[]): T[] {
    return this.#statement(sql).all(...parameters) as T[];
  }
}

/** Open messages in one state, worded so that SQLite takes the partial index. */
const open = (state: number, more = 'TRUE'): string => `state <= ${DEAD_MESSAGE} AND state = ${state} AND ${more}`;

const newest = (ids: ReadonlySet<string>, limit: number): QueueId[] =>
  [...ids].sort((a, b) => (a < b ? 1 : -1)).slice(0, limit) as QueueId[];

/** Blobs that a verdict names (parts of the message): quoted hex SHA-256s in its JSON. */
const REFS = /"([0-9a-f]{64})"/g;
const REFS_MAX = 2_000;

/** Each in memory of its own: a view of a pool would be sent with the whole pool. */
export function blobsNamed(json: string): Uint8Array[] {
  const refs = new Set<string>();
  for (const match of json.matchAll(REFS)) {
    refs.add(match[1]!);
    if (refs.size === REFS_MAX) break;
  }
  return [...refs].map((ref) => Uint8Array.fromHex(ref));
}
