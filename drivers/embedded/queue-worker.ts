/**
 * Worker side of the queue. A job's row lives from acceptance until it is settled; settling deletes it, keeps its verdict,
 * clears its bit in the needs of the others, and finishes the message when none is left: always in one transaction.
 */

import { randomInt } from 'node:crypto';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import {
  BLOCKED,
  DEAD,
  DEAD_MESSAGE,
  DONE,
  DROPPED,
  messageOf,
  PLACES,
  QUEUED,
  READY,
  RUNNING,
  SCHEMA,
  WAITING,
} from './queue-schema.ts';
import { verifyQueue } from './queue-verify.ts';
import type { WorkerDefinition } from './sqlite-worker.ts';

export interface AcceptArgs {
  readonly id: string;
  readonly at: number;
  readonly mid: number | null;
  readonly blob: Uint8Array;
  readonly accepted: string;
  readonly plan: string;
  /** Stage and mask of open needs, in the plan's order. */
  readonly jobs: readonly (readonly [stage: string, needs: number])[];
  readonly waiting: Waiting;
}
/** Stages whose claimer waits for work, and until when its lease of a job would last. */
export type Waiting = Readonly<Record<string, number>>;
/** A job that was claimed for a waiting claimer in the transaction that made it ready. */
export interface Handed {
  readonly key: number;
  readonly stage: string;
  readonly token: number;
  readonly attempts: number;
  readonly until: number;
}
export interface Accepted {
  readonly n: number;
  readonly ready: readonly string[];
  readonly handed: readonly Handed[];
}
/** A whole record; jobs are rows as they are stored, with their places for keys. */
export interface AdoptArgs {
  readonly id: string;
  readonly state: number;
  readonly at: number;
  readonly finished: number | null;
  readonly mid: number | null;
  readonly blob: Uint8Array;
  readonly accepted: string;
  readonly plan: string;
  readonly jobs: readonly {
    readonly place: number;
    readonly stage: string;
    readonly state: number;
    readonly due: number;
    readonly needs: number;
    readonly attempts: number;
    readonly error: string | null;
  }[];
  readonly settled: readonly {
    readonly place: number;
    readonly attempts: number;
    readonly error: string | null;
    readonly verdict: string | null;
  }[];
  readonly deliveries: string | null;
  readonly parts: readonly Uint8Array[];
}
export interface ClaimArgs {
  readonly stage: string;
  readonly max: number;
  readonly until: number;
  readonly now: number;
}
export interface Claimed {
  readonly token: number;
  readonly jobs: readonly { readonly key: number; readonly attempts: number }[];
}
interface Proof {
  readonly key: number;
  readonly stage: string;
  readonly token: number;
}
export interface SettleArgs extends Proof {
  readonly verdict: string;
  readonly deliveries: string | null;
  readonly parts: readonly Uint8Array[];
  readonly at: number;
  readonly waiting: Waiting;
}
export interface Settled {
  readonly ready: readonly string[];
  readonly handed: readonly Handed[];
  readonly finished: boolean;
}
export interface FailArgs extends Proof {
  readonly error: string;
  readonly retryAt: number | null;
  readonly deliveries: string | null;
}

const REFUSED_MAX = 100_000;
/** Due jobs that a claim makes ready at once: a claim's cost does not grow with the number of those that wait. */
const PROMOTED_MAX = 1_000;

/** All keys of one message. */
const RANGE = 'key BETWEEN ?1 AND ?2';
const first = (n: number): number => n * PLACES;
const last = (n: number): number => n * PLACES + PLACES - 1;

function open(db: DatabaseSync): ReturnType<WorkerDefinition['open']> {
  // One process owns the folder: whoever held a claim is gone.
  db.exec(`UPDATE jobs SET state = ${READY}, due = 0 WHERE state = ${RUNNING}`);
  db.exec('UPDATE jobs SET token = NULL WHERE token IS NOT NULL');
  // Tokens of this run differ from those of an earlier one.
  let token = randomInt(2 ** 40) * 4096;

  const sql = (text: string): StatementSync => db.prepare(text);
  const addMessage = sql('INSERT OR IGNORE INTO messages VALUES (NULL, ?, ?, ?, ?, ?, ?) RETURNING n');
  const addBody = sql('INSERT INTO bodies VALUES (?, ?, ?)');
  const addJob = sql('INSERT INTO jobs VALUES (?, ?, ?, 0, ?, 0, NULL, NULL)');
  const adoptJob = sql('INSERT INTO jobs VALUES (?, ?, ?, ?, ?, ?, NULL, ?)');
  const isDue = sql('SELECT 1 FROM jobs WHERE stage = ? AND state = ? AND due <= ? LIMIT 1');
  const promote = sql(`UPDATE jobs SET state = ${READY}, due = 0 WHERE key IN
    (SELECT key FROM jobs WHERE stage = ? AND state = ? AND due <= ? ORDER BY due LIMIT ${PROMOTED_MAX})`);
  const claim = sql(`UPDATE jobs SET state = ${RUNNING}, due = ?, attempts = attempts + 1, token = ? WHERE key IN
    (SELECT key FROM jobs WHERE stage = ? AND state = ${READY} ORDER BY due, key LIMIT ?) RETURNING key, attempts`);
  const isOlder = sql(`SELECT 1 FROM jobs WHERE stage = ? AND state = ${READY} AND key <> ? LIMIT 1`);
  const hand = sql(`UPDATE jobs SET state = ${RUNNING}, due = ?, attempts = attempts + 1, token = ? WHERE key = ?
    RETURNING attempts`);
  const held = `key = ? AND token = ? AND stage = ? AND state IN (${READY}, ${RUNNING})`;
  const extend = sql(`UPDATE jobs SET due = ?, state = ${RUNNING} WHERE ${held}`);
  const take = sql(`DELETE FROM jobs WHERE ${held} RETURNING attempts, error`);
  const fail = sql(`UPDATE jobs SET state = ?, due = ?, token = NULL, error = ? WHERE ${held}`);
  const keep = sql('INSERT INTO settled VALUES (?, ?, ?, ?)');
  const unblock = sql(`UPDATE jobs SET needs = needs & ~?3, state = iif(needs & ~?3, ${BLOCKED}, ${READY})
    WHERE ${RANGE} AND needs & ?3 RETURNING key, stage, state`);
  const anyJob = sql(`SELECT 1 FROM jobs WHERE ${RANGE} LIMIT 1`);
  const anyDead = sql(`SELECT 1 FROM jobs WHERE ${RANGE} AND state = ${DEAD} LIMIT 1`);
  const finish = sql('UPDATE messages SET state = ?, finished = ? WHERE n = ?');
  const setState = sql('UPDATE messages SET state = ? WHERE n = ?');
  const addDeliveries = sql('INSERT INTO deliveries VALUES (NULL, ?, ?)');
  const addPart = sql('INSERT OR IGNORE INTO parts VALUES (?, ?)');
  const dropParts = sql('DELETE FROM parts WHERE n = ?');
  const unfinished = sql(`SELECT n FROM messages WHERE id = ? AND state <= ${DEAD_MESSAGE}`);
  const retry = sql(`UPDATE jobs SET state = ${READY}, due = 0, attempts = 0, token = NULL
    WHERE ${RANGE} AND state IN (${WAITING}, ${DEAD}) AND (?3 IS NULL OR stage = ?3) RETURNING stage`);
  const dropJobs = sql(`DELETE FROM jobs WHERE ${RANGE} RETURNING key, attempts`);
  const refuse = sql('INSERT OR REPLACE INTO refused VALUES (NULL, ?, ?, ?, ?)');
  const trimRefused = sql(`DELETE FROM refused WHERE n <= (SELECT max(n) FROM refused) - ${REFUSED_MAX}`);
  const forgotten = sql('SELECT n FROM messages WHERE finished < ? ORDER BY finished LIMIT ?');
  const forget = [
    sql('DELETE FROM messages WHERE n = ?'),
    sql('DELETE FROM bodies WHERE n = ?'),
    sql('DELETE FROM deliveries WHERE n = ?'),
  ];
  const forgetSettled = sql(`DELETE FROM settled WHERE ${RANGE}`);
  const forgetRefused = sql('DELETE FROM refused WHERE n IN (SELECT n FROM refused WHERE at < ? ORDER BY at LIMIT ?)');
  const depth = sql('SELECT stage, state, count(*) AS count, min(key) AS oldest FROM jobs GROUP BY stage, state');
  const acceptedAt = sql('SELECT at FROM messages WHERE n = ?');

  /** Gives jobs that have become ready to claimers that wait for them; older ones of the stage go first, by a claim. */
  const handOut = (jobs: readonly { key: number; stage: string }[], waiting: Waiting) => {
    const ready: string[] = [];
    const handed: Handed[] = [];
    for (const { key, stage } of jobs) {
      const until = waiting[stage];
      if (until === undefined || isOlder.get(stage, key) !== undefined) ready.push(stage);
      else {
        token++;
        handed.push({ key, stage, token, until, ...(hand.get(until, token, key) as { attempts: number }) });
      }
    }
    return { ready, handed };
  };

  return {
    accept({ id, at, mid, blob, accepted, plan, jobs, waiting }: AcceptArgs): Accepted | null {
      const state = jobs.length === 0 ? DONE : QUEUED;
      const row = addMessage.get(id, state, at, state === DONE ? at : null, mid, blob) as { n: number } | undefined;
      if (row === undefined) return null;
      addBody.run(row.n, accepted, plan);
      const runnable: { key: number; stage: string }[] = [];
      for (let place = 0; place < jobs.length; place++) {
        const [stage, needs] = jobs[place]!;
        const key = first(row.n) + place;
        addJob.run(key, stage, needs === 0 ? READY : BLOCKED, needs);
        if (needs === 0) runnable.push({ key, stage });
      }
      return { n: row.n, ...handOut(runnable, waiting) };
    },
    adopt({
      id,
      state,
      at,
      finished,
      mid,
      blob,
      accepted,
      plan,
      jobs,
      settled,
      deliveries,
      parts,
    }: AdoptArgs): string[] | null {
      const row = addMessage.get(id, state, at, finished, mid, blob) as { n: number } | undefined;
      if (row === undefined) return null;
      const { n } = row;
      addBody.run(n, accepted, plan);
      for (const { place, stage, state: its, due, needs, attempts, error } of jobs)
        adoptJob.run(first(n) + place, stage, its, due, needs, attempts, error);
      for (const { place, attempts, error, verdict } of settled) keep.run(first(n) + place, attempts, error, verdict);
      if (deliveries !== null) addDeliveries.run(n, deliveries);
      for (const part of parts) addPart.run(n, part);
      return jobs.filter((job) => job.state === READY).map((job) => job.stage);
    },
    refuse({ id, at, mid, record }: { id: string; at: number; mid: number | null; record: string }): null {
      refuse.run(id, at, mid, record);
      trimRefused.run();
      return null;
    },
    claim({ stage, max, until, now }: ClaimArgs): Claimed {
      for (const state of [WAITING, RUNNING])
        if (isDue.get(stage, state, now) !== undefined) promote.run(stage, state, now);
      token++;
      const jobs = claim.all(until, token, stage, max) as unknown as { key: number; attempts: number }[];
      return { token, jobs: jobs.sort((a, b) => a.key - b.key) };
    },
    extend: ({ key, stage, token: held, until }: Proof & { until: number }): boolean =>
      extend.run(until, key, held, stage).changes === 1,
    settle({ key, stage, token: held, verdict, deliveries, parts, at, waiting }: SettleArgs): Settled | null {
      const job = take.get(key, held, stage) as { attempts: number; error: string | null } | undefined;
      if (job === undefined) return null;
      const n = messageOf(key);
      keep.run(key, job.attempts, job.error, verdict);
      if (deliveries !== null) addDeliveries.run(n, deliveries);
      for (const part of parts) addPart.run(n, part);
      const freed = unblock.all(first(n), last(n), 2 ** (key - first(n))) as {
        key: number;
        stage: string;
        state: number;
      }[];
      const finished = freed.length === 0 && anyJob.get(first(n), last(n)) === undefined;
      if (finished) {
        finish.run(DONE, at, n);
        dropParts.run(n);
      }
      const runnable = freed.filter((row) => row.state === READY);
      return { finished, ...handOut(runnable, waiting) };
    },
    fail({ key, stage, token: held, error, retryAt, deliveries }: FailArgs): boolean {
      const [state, due] = retryAt === null ? [DEAD, 0] : [WAITING, retryAt];
      if (fail.run(state, due, error, key, held, stage).changes === 0) return false;
      if (deliveries !== null) addDeliveries.run(messageOf(key), deliveries);
      if (state === DEAD) setState.run(DEAD_MESSAGE, messageOf(key));
      return true;
    },
    retry({ id, stage }: { id: string; stage: string | null }): string[] {
      const message = unfinished.get(id) as { n: number } | undefined;
      if (message === undefined) return [];
      const { n } = message;
      const stages = (retry.all(first(n), last(n), stage) as { stage: string }[]).map((row) => row.stage);
      if (anyDead.get(first(n), last(n)) === undefined) setState.run(QUEUED, n);
      return stages;
    },
    drop({ id, why, at }: { id: string; why: string; at: number }): number | null {
      const message = unfinished.get(id) as { n: number } | undefined;
      if (message === undefined) return null;
      const { n } = message;
      for (const job of dropJobs.all(first(n), last(n)) as { key: number; attempts: number }[])
        keep.run(job.key, job.attempts, why, null);
      finish.run(DROPPED, at, n);
      dropParts.run(n);
      return n;
    },
    forget({ olderThan, limit }: { olderThan: number; limit: number }): number {
      const rows = forgotten.all(olderThan, limit) as { n: number }[];
      for (const { n } of rows) {
        for (const statement of forget) statement.run(n);
        forgetSettled.run(first(n), last(n));
      }
      return rows.length + Number(forgetRefused.run(olderThan, limit - rows.length).changes);
    },
    depth: () =>
      (depth.all() as { stage: string; state: number; count: number; oldest: number }[]).map(({ oldest, ...row }) => ({
        ...row,
        at: (acceptedAt.get(messageOf(oldest)) as { at: number } | undefined)?.at ?? 0,
      })),
    verify: ({ repair, now }: { repair: boolean; now: number }) => verifyQueue(db, repair, now),
  };
}

export const definition: WorkerDefinition = { migrations: [SCHEMA], open };
