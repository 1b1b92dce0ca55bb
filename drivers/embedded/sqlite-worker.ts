/**
 * The worker side of SqliteWriter: one writing connection, one transaction for everything that is queued (at most
 * GROUP_MAX calls), each call in a savepoint of its own so that one that throws changes nothing while the others stand.
 */

import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { ClientError, Fenced } from '../../core/mail/errors.ts';
import type { ReplyKey } from '../../core/mail/reply.ts';

export interface WorkerSetup {
  readonly file: string;
  readonly module: string;
  readonly options: unknown;
}

export interface Request {
  readonly id: number;
  readonly name: string;
  readonly args: unknown;
  readonly mode: 'durable' | 'volatile' | 'scan';
}

export interface Answer {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: {
    readonly message: string;
    readonly kind?: 'Fenced' | 'ClientError';
    readonly reply?: ReplyKey;
    readonly code?: string;
    readonly errcode?: number;
    readonly stack?: string | undefined;
  };
}

/** A handler runs synchronously inside the group's transaction; `scan` calls run outside of any. */
// biome-ignore lint/suspicious/noExplicitAny: each handler knows the shape that its driver sends
export type Handler = (args: any) => unknown;

export interface WorkerDefinition {
  /** Each brings the schema one version further (`PRAGMA user_version`); never changed once released. */
  readonly migrations: readonly string[];
  /** Prepares statements, recovers, and returns the handlers. Runs after the migrations. */
  open(db: DatabaseSync, options: unknown): Readonly<Record<string, Handler>>;
  /** More PRAGMAs for the connection, for example a larger cache. */
  readonly pragmas?: string;
  /** For a thread that only answers `scan` calls beside a writer of the same file: no migrations, nothing written. */
  readonly readOnly?: boolean;
}

const GROUP_MAX = 64;
/** A `volatile` commit is made safe against power loss this much later. */
const SYNC_AFTER_MS = 1000;

const port = parentPort!;
const setup = workerData as WorkerSetup;
const queue: Request[] = [];
let db: DatabaseSync;
let readOnly = false;
let savepoint: StatementSync;
let release: StatementSync;
let handlers: Readonly<Record<string, Handler>> = {};
let synchronous: 'FULL' | 'NORMAL' = 'FULL';
let syncTimer: NodeJS.Timeout | undefined;

function describe(thrown: unknown): NonNullable<Answer['error']> {
  const error = thrown as Error & { code?: string; errcode?: number };
  return {
    message: error.message,
    stack: error.stack,
    ...(error instanceof Fenced ? { kind: 'Fenced' as const } : {}),
    ...(error instanceof ClientError ? { kind: 'ClientError' as const, reply: error.reply } : {}),
    ...(error.code === undefined ? {} : { code: error.code }),
    ...(error.errcode === undefined ? {} : { errcode: error.errcode }),
  };
}

async function open(): Promise<null> {
  const { definition } = (await import(setup.module)) as { definition: WorkerDefinition };
  if (definition.readOnly === true) {
    readOnly = true;
    db = new DatabaseSync(setup.file, { readOnly: true });
    db.exec(`PRAGMA busy_timeout = 5000; ${definition.pragmas ?? ''}`);
    handlers = definition.open(db, setup.options);
    return null;
  }
  db = new DatabaseSync(setup.file);
  db.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA fullfsync = 1; PRAGMA busy_timeout = 5000;
    PRAGMA wal_autocheckpoint = 4096; PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -8192;
    PRAGMA journal_size_limit = 67108864; ${definition.pragmas ?? ''}`);
  const { user_version: version } = db.prepare('PRAGMA user_version').get() as { user_version: number };
  if (version > definition.migrations.length)
    throw new Error(`${setup.file} was written by a newer version of this program (schema ${version})`);
  for (let next = version; next < definition.migrations.length; next++) {
    db.exec(`BEGIN IMMEDIATE; ${definition.migrations[next]}; PRAGMA user_version = ${next + 1}; COMMIT`);
  }
  db.exec('CREATE TABLE IF NOT EXISTS _sync (n INTEGER PRIMARY KEY, at INTEGER) STRICT');
  savepoint = db.prepare('SAVEPOINT one');
  release = db.prepare('RELEASE one');
  handlers = definition.open(db, setup.options);
  return null;
}

function setSynchronous(level: 'FULL' | 'NORMAL'): void {
  if (synchronous === level) return;
  db.exec(`PRAGMA synchronous = ${level}`);
  synchronous = level;
}

function syncSoon(): void {
  syncTimer ??= setTimeout(() => {
    syncTimer = undefined;
    try {
      setSynchronous('FULL');
      db.exec('INSERT OR REPLACE INTO _sync (n, at) VALUES (1, unixepoch())');
    } catch {
      // The disk is full or broken, which the next durable call reports; what is written already is tried again.
      syncSoon();
    }
  }, SYNC_AFTER_MS);
}

function run(request: Request): Answer {
  const handler = handlers[request.name];
  if (handler === undefined) return { id: request.id, error: { message: `no handler ${request.name}` } };
  try {
    return { id: request.id, value: handler(request.args) };
  } catch (error) {
    return { id: request.id, error: describe(error) };
  }
}

function runInSavepoint(request: Request): Answer {
  // `get` runs them too; `run` would also read the last rowid, which FTS5's own tables take beyond 2^53.
  savepoint.get();
  const answer = run(request);
  // A full disk may already have rolled everything back.
  if (db.isTransaction) {
    if (answer.error !== undefined) db.exec('ROLLBACK TO one');
    release.get();
  } else throw Object.assign(new Error(answer.error?.message ?? 'transaction lost'), answer.error);
  return answer;
}

function commitGroup(group: readonly Request[]): Answer[] {
  const durable = group.some((request) => request.mode === 'durable');
  try {
    setSynchronous(durable ? 'FULL' : 'NORMAL');
    db.exec('BEGIN IMMEDIATE');
    const answers = group.map(runInSavepoint);
    db.exec('COMMIT');
    if (durable) clearTimeout(syncTimer);
    syncTimer = durable ? undefined : syncTimer;
    if (!durable) syncSoon();
    return answers;
  } catch (error) {
    if (db.isTransaction) db.exec('ROLLBACK');
    const described = describe(error);
    return group.map((request) => ({ id: request.id, error: described }));
  }
}

function checkpoint(): void {
  try {
    db.exec('PRAGMA wal_checkpoint(TRUNCATE)');
  } catch {
    // On a full disk: what is committed stays in the log, and is there after the next open.
  }
}

async function control(request: Request): Promise<Answer> {
  try {
    if (request.name === 'open') return { id: request.id, value: await open() };
    if (request.name === 'close') {
      clearTimeout(syncTimer);
      if (!readOnly) {
        setSynchronous('FULL');
        checkpoint();
      }
      db.close();
      return { id: request.id, value: null };
    }
    const rows = db.prepare('PRAGMA integrity_check(100)').all() as { integrity_check: string }[];
    return { id: request.id, value: rows.map((row) => row.integrity_check).filter((line) => line !== 'ok') };
  } catch (error) {
    return { id: request.id, error: describe(error) };
  }
}

const CONTROL = new Set(['open', 'close', 'integrity']);

async function work(): Promise<void> {
  while (queue.length > 0) {
    const first = queue[0]!;
    let answers: Answer[];
    if (CONTROL.has(first.name)) answers = [await control(queue.shift()!)];
    else if (first.mode === 'scan') answers = [run(queue.shift()!)];
    else {
      const end = queue.findIndex((request) => request.mode === 'scan');
      answers = commitGroup(queue.splice(0, Math.min(GROUP_MAX, end === -1 ? queue.length : end)));
    }
    port.postMessage(answers, transferables(answers));
    // Whatever came in meanwhile joins the next group.
    for (let next = receiveMessageOnPort(port); next !== undefined; next = receiveMessageOnPort(port)) {
      queue.push(...(next.message as Request[]));
    }
  }
}

/** Large typed arrays in an answer of columns move to the main thread instead of being copied. */
function transferables(answers: readonly Answer[]): ArrayBuffer[] {
  const buffers: ArrayBuffer[] = [];
  for (const { value } of answers) {
    if (value === null || typeof value !== 'object') continue;
    for (const field of Object.values(value)) {
      if (ArrayBuffer.isView(field) && field.byteLength > 4096 && field.byteLength === field.buffer.byteLength)
        buffers.push(field.buffer as ArrayBuffer);
    }
  }
  return buffers;
}

let working = false;
port.on('message', (requests: readonly Request[]) => {
  queue.push(...requests);
  if (working) return;
  working = true;
  void work().finally(() => {
    working = false;
  });
});
