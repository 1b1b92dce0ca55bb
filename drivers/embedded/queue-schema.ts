/**
 * The queue's tables. What is written once (the accepted message, verdicts, deliveries) lies apart from what changes (a
 * narrow row per message, a narrow row per job that is not settled yet), so a stage's step touches few and hot pages.
 */

import type { JobState, MessageState } from '../../core/ports/queue.ts';

/** Numbers of states as they are stored. */
export const MESSAGE_STATES = ['queued', 'dead', 'done', 'dropped'] as const satisfies readonly MessageState[];
export const QUEUED = 0;
export const DEAD_MESSAGE = 1;
export const DONE = 2;
export const DROPPED = 3;

export const JOB_STATES = ['blocked', 'ready', 'running', 'waiting', 'dead'] as const satisfies readonly JobState[];
export const BLOCKED = 0;
export const READY = 1;
export const RUNNING = 2;
export const WAITING = 3;
export const DEAD = 4;

/** A job's key is its message's number times this plus its place in the plan. */
export const PLACES = 64;

export const messageOf = (key: number): number => Math.floor(key / PLACES);

/** As the plan is stored: stage, and the places of the stages it needs. */
export type StoredPlan = readonly (readonly [stage: string, needs: readonly number[]])[];

export const SCHEMA = `
  CREATE TABLE messages (n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, state INTEGER NOT NULL, at INTEGER NOT NULL,
    finished INTEGER, mid INTEGER, blob BLOB NOT NULL) STRICT;
  CREATE INDEX messages_open ON messages (id) WHERE state <= ${DEAD_MESSAGE};
  CREATE INDEX messages_blob ON messages (blob) WHERE state <= ${DEAD_MESSAGE};
  CREATE INDEX messages_dropped ON messages (id) WHERE state = ${DROPPED};
  CREATE INDEX messages_mid ON messages (mid) WHERE mid IS NOT NULL;
  CREATE INDEX messages_finished ON messages (finished) WHERE finished IS NOT NULL;
  CREATE TABLE bodies (n INTEGER PRIMARY KEY, accepted TEXT NOT NULL, plan TEXT NOT NULL) STRICT;
  CREATE TABLE jobs (key INTEGER PRIMARY KEY, stage TEXT NOT NULL, state INTEGER NOT NULL, due INTEGER NOT NULL,
    needs INTEGER NOT NULL, attempts INTEGER NOT NULL, token INTEGER, error TEXT) STRICT;
  CREATE INDEX jobs_claim ON jobs (stage, state, due);
  CREATE TABLE settled (key INTEGER PRIMARY KEY, attempts INTEGER NOT NULL, error TEXT, verdict TEXT) STRICT;
  CREATE TABLE deliveries (seq INTEGER PRIMARY KEY, n INTEGER NOT NULL, list TEXT NOT NULL) STRICT;
  CREATE INDEX deliveries_n ON deliveries (n);
  CREATE TABLE parts (n INTEGER NOT NULL, blob BLOB NOT NULL, PRIMARY KEY (n, blob)) STRICT, WITHOUT ROWID;
  CREATE INDEX parts_blob ON parts (blob);
  CREATE TABLE refused (n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, at INTEGER NOT NULL, mid INTEGER,
    record TEXT NOT NULL) STRICT;
  CREATE INDEX refused_at ON refused (at);
  CREATE INDEX refused_mid ON refused (mid) WHERE mid IS NOT NULL`;
