/**
 * The one way of the embedded drivers to write SQLite: a worker thread owns the writing connection and commits whatever
 * is queued together (group commit). A call resolves once its transaction is committed; a durable one after the fsync.
 * The main thread reads through `reader`, a read-only connection that sees every committed call.
 */

import { DatabaseSync } from 'node:sqlite';
import { Worker } from 'node:worker_threads';
import { ClientError, Fault, Fenced, MailError, TemporaryError } from '../../core/mail/errors.ts';
import type { Damage } from '../../core/ports/blob-store.ts';
import type { Answer, Request, WorkerSetup } from './sqlite-worker.ts';

/** `durable`: resolves after the fsync. `volatile`: survives the process, and power loss after 1 s. `scan`: reads only. */
export type CallMode = 'durable' | 'volatile' | 'scan';

/** Longest that a call without a sync waits for others; only when the call before went out less than that ago. */
const GATHER_MS = 2;

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

export class SqliteWriter {
  /** Set by `open`. Only for statements that read. */
  reader!: DatabaseSync;
  readonly #setup: WorkerSetup;
  #worker: Worker | undefined;
  #nextId = 1;
  #waiting = new Map<number, Waiting>();
  #outgoing: Request[] = [];
  /** Calls that the worker has and has not answered. */
  #unanswered = 0;
  /** A call that is waited for with a sync is among the outgoing ones. */
  #urgent = false;
  #soon = false;
  #gathering: NodeJS.Timeout | undefined;
  #flushedAt = 0;
  readonly #gatherMs: number;
  #broken: Error | undefined;

  /**
   * @param file the database
   * @param module the worker-side module (a URL): exports `definition`, a `WorkerDefinition` of `sqlite-worker.ts`
   * @param options plain data for its `open`
   * @param gatherMs under load, how long calls without a sync wait for others: more where nobody waits for the answer
   */
  constructor(file: string, module: URL, options: unknown = null, gatherMs = GATHER_MS) {
    this.#gatherMs = gatherMs;
    this.#setup = { file, module: module.href, options };
  }

  async open(): Promise<void> {
    const worker = new Worker(new URL('./sqlite-worker.ts', import.meta.url), {
      workerData: this.#setup,
      resourceLimits: { maxYoungGenerationSizeMb: 16 },
    });
    this.#worker = worker;
    worker.on('message', (answers: readonly Answer[]) => this.#settle(answers));
    worker.on('error', (error: Error) => this.#fail(error));
    worker.on('exit', (code) => this.#fail(new Fault('the database writer ended', { code, file: this.#setup.file })));
    try {
      await this.call('open', null, 'scan');
      this.reader = new DatabaseSync(this.#setup.file, { readOnly: true });
      // No mmap: its pages count as the process's memory, and a bad sector would be a SIGBUS instead of an error.
      this.reader.exec('PRAGMA busy_timeout = 5000; PRAGMA cache_size = -4096');
    } catch (error) {
      this.#worker = undefined;
      await worker.terminate();
      throw sqliteFailure(error, this.#setup.file);
    }
  }

  /** Runs a handler of the worker module. Typed arrays in `transfer` move instead of being copied. */
  call<T>(name: string, args: unknown, mode: CallMode = 'durable', transfer?: ArrayBuffer[]): Promise<T> {
    if (this.#broken !== undefined) return Promise.reject(new TemporaryError('storeUnavailable', {}, this.#broken));
    const id = this.#nextId++;
    return new Promise<T>((resolve, reject) => {
      this.#waiting.set(id, { resolve: resolve as (value: unknown) => void, reject });
      if (transfer !== undefined) {
        this.#flush();
        this.#unanswered++;
        this.#worker!.postMessage([{ id, name, args, mode }], transfer);
        return;
      }
      this.#outgoing.push({ id, name, args, mode });
      if (mode !== 'volatile') this.#urgent = true;
      if (this.#unanswered === 0) this.#flushSoon();
    });
  }

  /** Integrity of the file as SQLite sees it: one entry per problem. A file too broken to be looked through is one. */
  async integrity(): Promise<Damage[]> {
    const what = this.#setup.file;
    try {
      const lines = await this.call<string[]>('integrity', null, 'scan');
      return lines.map((detail) => ({ what, detail, repaired: false }));
    } catch (error) {
      const { facts } = sqliteFailure(error, what);
      if (facts.result !== 'CORRUPT' && facts.result !== 'NOTADB') throw error;
      return [{ what, detail: String(facts.detail), repaired: false }];
    }
  }

  async close(): Promise<void> {
    const worker = this.#worker;
    if (worker === undefined) return;
    this.#worker = undefined;
    const broken = this.#broken !== undefined;
    // The calls made before are answered first: the worker takes them in order.
    const closed = broken ? undefined : this.call('close', null, 'scan');
    this.#flush(worker);
    this.#broken ??= new Fault('the database is closed', { file: this.#setup.file });
    try {
      await closed;
    } finally {
      this.reader.close();
      await worker.terminate();
    }
  }

  /**
   * One message for all calls of this turn of the event loop, and, while the worker is busy, for all that come until it
   * has answered: a message and a transaction cost more than most calls, and what waits together is committed together.
   * Under load, calls that need no sync gather for a moment.
   */
  #flushSoon(): void {
    const restMs = this.#urgent ? 0 : this.#flushedAt + this.#gatherMs - performance.now();
    if (restMs <= 0) {
      if (this.#soon) return;
      this.#soon = true;
      clearTimeout(this.#gathering);
      this.#gathering = undefined;
      setImmediate(() => {
        this.#soon = false;
        this.#flush();
      });
    } else if (!this.#soon) {
      this.#gathering ??= setTimeout(() => {
        this.#gathering = undefined;
        if (this.#unanswered === 0) this.#flush();
      }, restMs);
    }
  }

  #flush(worker = this.#worker): void {
    if (this.#outgoing.length === 0) return;
    const requests = this.#outgoing;
    this.#outgoing = [];
    this.#urgent = false;
    this.#flushedAt = performance.now();
    this.#unanswered += requests.length;
    try {
      worker?.postMessage(requests);
    } catch (error) {
      this.#unanswered -= requests.length;
      // An argument that can't be cloned: a bug of the caller; nothing of this batch was sent.
      for (const request of requests) this.#take(request.id)?.reject(new Fault('cannot send to the writer', {}, error));
    }
  }

  #take(id: number): Waiting | undefined {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    return waiting;
  }

  #settle(answers: readonly Answer[]): void {
    this.#unanswered -= answers.length;
    if (this.#unanswered === 0 && this.#outgoing.length > 0) this.#flushSoon();
    for (const answer of answers) {
      const waiting = this.#take(answer.id);
      if (waiting === undefined) continue;
      if (answer.error === undefined) waiting.resolve(answer.value);
      else waiting.reject(revive(answer.error, this.#setup.file));
    }
  }

  #fail(error: Error): void {
    this.#broken ??= error;
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const one of waiting) one.reject(new TemporaryError('storeUnavailable', { file: this.#setup.file }, error));
  }
}

/** Result codes of SQLite (their low byte) that are the disk's or the system's trouble, not ours. */
const SQLITE_FULL = 13;
const TROUBLE = new Map([
  [3, 'PERM'],
  [5, 'BUSY'],
  [7, 'NOMEM'],
  [8, 'READONLY'],
  [10, 'IOERR'],
  [11, 'CORRUPT'],
  [14, 'CANTOPEN'],
  [26, 'NOTADB'],
]);

/** What SQLite threw, as one of our errors with the file's name among its facts; a MailError is passed on. */
export function sqliteFailure(thrown: unknown, file: string): MailError {
  if (thrown instanceof MailError) return thrown;
  const error = thrown as Error & { code?: string; errcode?: number };
  const facts = { file, detail: error.message };
  const result = (error.errcode ?? 0) & 0xff;
  if (result === SQLITE_FULL || error.code === 'ENOSPC') return new TemporaryError('diskFull', facts, thrown);
  if (TROUBLE.has(result))
    return new TemporaryError('storeUnavailable', { ...facts, result: TROUBLE.get(result) }, thrown);
  return new Fault(error.message, { file, stack: error.stack }, thrown);
}

function revive(error: NonNullable<Answer['error']>, file: string): MailError {
  const facts = { file, detail: error.message };
  if (error.kind === 'Fenced') return new Fenced(facts);
  if (error.kind === 'ClientError') return new ClientError(error.reply ?? 'invalid', facts);
  return sqliteFailure(Object.assign(new Error(error.message), error), file);
}
