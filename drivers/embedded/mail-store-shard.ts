/**
 * One shard of the mail store: its writer, the main thread's reader and, when needed, the scan thread. A shard whose file
 * is broken answers every call with TemporaryError and leaves the others alone; `verify` names it.
 */

import { open, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { TemporaryError } from '../../core/mail/errors.ts';
import type { AccountId, MailboxId } from '../../core/mail/ids.ts';
import type { Damage } from '../../core/ports/blob-store.ts';
import type { Columns } from '../../core/ports/mail-store.ts';
import { ShardReader } from './mail-store-reader.ts';
import { SqliteWriter, sqliteFailure } from './sqlite-writer.ts';

/** Rows of a mailbox whose columns are read in the main thread: about 5 ms. */
const COLUMNS_HERE_MAX = 12_000;
/** The reader keeps this much of the file in memory; FETCH ENVELOPE lives from it. */
const READER_PRAGMAS = 'PRAGMA cache_size = -16384';

const SCAN = new URL('./mail-store-scan.ts', import.meta.url);

export class MailShard {
  readonly #file: string;
  readonly #writer: SqliteWriter;
  #reader: ShardReader | undefined;
  #scanner: Promise<SqliteWriter> | undefined;
  #failure: TemporaryError | undefined;

  constructor(file: string) {
    this.#file = file;
    this.#writer = new SqliteWriter(file, new URL('./mail-store-worker.ts', import.meta.url));
  }

  /** Opens, migrates and recovers. Rejects only for what is not the file's own damage. */
  async open(): Promise<void> {
    try {
      await this.#writer.open();
      this.#writer.reader.exec(READER_PRAGMAS);
      this.#reader = new ShardReader(this.#writer.reader);
    } catch (error) {
      const failure = sqliteFailure(error, this.#file);
      if (failure.facts.result !== 'CORRUPT' && failure.facts.result !== 'NOTADB') throw failure;
      this.#failure = failure;
    }
  }

  get failure(): TemporaryError | undefined {
    return this.#failure;
  }

  async close(): Promise<void> {
    const scanner = await this.#scanner;
    this.#scanner = undefined;
    this.#reader = undefined;
    await scanner?.close();
    if (this.#failure === undefined) await this.#writer.close();
  }

  /** Reads in the main thread: for small answers. */
  read<T>(read: (reader: ShardReader) => T): T {
    if (this.#reader === undefined)
      throw this.#failure ?? new TemporaryError('storeUnavailable', { file: this.#file, detail: 'not open' });
    try {
      return read(this.#reader);
    } catch (error) {
      throw sqliteFailure(error, this.#file);
    }
  }

  async call<T>(name: string, args: unknown, mode: 'durable' | 'volatile' = 'durable'): Promise<T> {
    if (this.#failure !== undefined) throw this.#failure;
    return await this.#writer.call<T>(name, args, mode);
  }

  async columns(account: AccountId, mailbox: MailboxId): Promise<Columns | undefined> {
    const here = this.read((reader) => reader.columns(account, mailbox, COLUMNS_HERE_MAX));
    if (here !== 'tooMany') return here;
    this.#scanner ??= this.#openScanner();
    const scanner = await this.#scanner;
    return await scanner.call<Columns | undefined>('columns', { account, mailbox }, 'scan');
  }

  async #openScanner(): Promise<SqliteWriter> {
    const scanner = new SqliteWriter(this.#file, SCAN);
    try {
      await scanner.open();
    } catch (error) {
      this.#scanner = undefined;
      throw error;
    }
    return scanner;
  }

  /** A scan thread of its own for work that takes long. */
  async #aside<T>(run: (scanner: SqliteWriter) => Promise<T>): Promise<T> {
    const scanner = new SqliteWriter(this.#file, SCAN);
    await scanner.open();
    try {
      return await run(scanner);
    } finally {
      await scanner.close();
    }
  }

  async verify(repair: boolean): Promise<Damage[]> {
    const name = basename(this.#file);
    if (this.#failure !== undefined)
      return [{ what: this.#file, detail: String(this.#failure.facts.detail), repaired: false }];
    // What the file is too broken to answer is damage as well.
    const unreadable = (error: unknown): Damage[] => {
      const { facts, message } = sqliteFailure(error, this.#file);
      return [{ what: this.#file, detail: String(facts.detail ?? message), repaired: false }];
    };
    return await this.#aside(async (scanner) => {
      const broken = await scanner.integrity().catch(unreadable);
      const wrong = repair
        ? this.#writer.call<Damage[]>('repair', { name })
        : scanner.call<Damage[]>('inspect', { name }, 'scan');
      return [...broken, ...(await wrong.catch(unreadable))];
    });
  }

  async backup(destination: string): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    await this.#aside((scanner) => scanner.call('backup', { destination }, 'scan'));
    const copy = await open(destination, 'r');
    try {
      await copy.sync();
    } finally {
      await copy.close();
    }
  }

  /** Bytes on the disk. */
  async stored(): Promise<number> {
    let bytes = 0;
    for (const name of [this.#file, `${this.#file}-wal`]) {
      const found = await stat(name).catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return undefined;
        throw error;
      });
      bytes += found?.size ?? 0;
    }
    return bytes;
  }
}
