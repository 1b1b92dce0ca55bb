/**
 * File operations of the blob store on bare descriptors: whole writes, whole reads, syncs, and the translation of the
 * system's errors. A full disk is TemporaryError `diskFull`, any other trouble of the disk `storeUnavailable`.
 */

import fs from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { Fault, MailError, TemporaryError } from '../../core/mail/errors.ts';

export const openFile = promisify(fs.open);
export const closeFile = promisify(fs.close);
export const truncateFile = promisify(fs.ftruncate);
export const syncData = promisify(fs.fdatasync);
export const syncFile = promisify(fs.fsync);
const writev = promisify(fs.writev);
const read = promisify(fs.read);

/** EFBIG is a file size limit of the process: for whoever operates it the same thing. */
const FULL = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);

export const errorCode = (error: unknown): string => String((error as NodeJS.ErrnoException)?.code ?? '');

export function diskError(error: unknown, file: string): MailError {
  if (error instanceof MailError) return error;
  const facts = { file, code: errorCode(error) };
  return new TemporaryError(FULL.has(facts.code) ? 'diskFull' : 'storeUnavailable', facts, error);
}

/** Writes all of the pieces one behind the other from `position` on. */
export async function writeAll(fd: number, pieces: readonly Uint8Array[], position: number): Promise<void> {
  let rest = pieces.filter((piece) => piece.length > 0);
  let at = position;
  while (rest.length > 0) {
    // promisify gives the whole of fs.writev's answer as an object.
    const { bytesWritten } = await writev(fd, rest, at);
    at += bytesWritten;
    let skip = bytesWritten;
    let whole = 0;
    while (whole < rest.length && skip >= rest[whole]!.length) skip -= rest[whole++]!.length;
    rest = rest.slice(whole);
    if (skip > 0) rest[0] = rest[0]!.subarray(skip);
  }
}

/** Reads up to `length` bytes; fewer only at the end of the file. */
export async function readUpTo(fd: number, position: number, length: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(length);
  let got = 0;
  while (got < length) {
    const { bytesRead } = await read(fd, buffer, got, length - got, position + got);
    if (bytesRead === 0) break;
    got += bytesRead;
  }
  return got === length ? buffer : buffer.subarray(0, got);
}

/** The same in the calling thread: for what is likely in the page cache. */
export function readUpToSync(fd: number, position: number, length: number): Buffer {
  const buffer = Buffer.allocUnsafe(length);
  let got = 0;
  while (got < length) {
    const bytesRead = fs.readSync(fd, buffer, got, length - got, position + got);
    if (bytesRead === 0) break;
    got += bytesRead;
  }
  return got === length ? buffer : buffer.subarray(0, got);
}

/** Makes created, renamed and deleted names of a folder survive power loss. */
export async function syncFolder(folder: string): Promise<void> {
  const fd = await openFile(folder, 'r');
  try {
    await syncFile(fd);
  } finally {
    await closeFile(fd);
  }
}

/** Makes a folder and those above it; what is made survives power loss. */
export async function makeFolder(folder: string): Promise<void> {
  const first = await fs.promises.mkdir(folder, { recursive: true });
  if (first === undefined) return;
  for (let made = path.resolve(folder); ; made = path.dirname(made)) {
    await syncFolder(path.dirname(made));
    if (made === path.resolve(first) || made === path.dirname(made)) return;
  }
}

interface Entry {
  readonly fd: number;
  users: number;
  evicted: boolean;
}

/** Open descriptors for reading, the least recently used closed first, none while it is in use. */
export class Descriptors {
  readonly #limit: number;
  readonly #entries = new Map<string, Entry>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Runs with the file's descriptor. Throws ENOENT like `fs.openSync`. */
  use<T>(file: string, run: (fd: number) => T): T {
    const entry = this.#entry(file);
    entry.users++;
    let result: T;
    try {
      result = run(entry.fd);
    } catch (error) {
      this.#release(entry);
      throw error;
    }
    if (result instanceof Promise) return result.finally(() => this.#release(entry)) as T;
    this.#release(entry);
    return result;
  }

  /** Lets go of a file that is being deleted. */
  forget(file: string): void {
    const entry = this.#entries.get(file);
    if (entry === undefined) return;
    this.#entries.delete(file);
    this.#evict(entry);
  }

  close(): void {
    for (const file of [...this.#entries.keys()]) this.forget(file);
  }

  #entry(file: string): Entry {
    const known = this.#entries.get(file);
    if (known !== undefined) {
      this.#entries.delete(file);
      this.#entries.set(file, known);
      return known;
    }
    const entry: Entry = { fd: fs.openSync(file, 'r'), users: 0, evicted: false };
    this.#entries.set(file, entry);
    if (this.#entries.size > this.#limit) this.forget(this.#entries.keys().next().value!);
    return entry;
  }

  #evict(entry: Entry): void {
    entry.evicted = true;
    if (entry.users === 0) fs.closeSync(entry.fd);
  }

  #release(entry: Entry): void {
    entry.users--;
    if (entry.evicted && entry.users === 0) fs.closeSync(entry.fd);
  }
}

/** A blob whose bytes are not what its name says: how `read` rejects and `verify` words it. */
export const damaged = (detail: string, facts: Record<string, string | number>, cause?: unknown): Fault =>
  new Fault(`blob is damaged: ${detail}`, facts, cause);
