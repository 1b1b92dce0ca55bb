/**
 * Reading blobs. A record's checksum is compared at its first read since the store was opened (`verify` compares all);
 * chunks of large files at every read. Small reads run in the calling thread, where the page cache answers in
 * microseconds; one that was slow sends the next ones to the thread pool, so a cold disk cannot stop the event loop.
 */

import zlib from 'node:zlib';
import { Fault, MailError } from '../../core/mail/errors.ts';
import type { BlobRef } from '../../core/mail/ids.ts';
import { packFile } from './blob-appender.ts';
import { blobFile, CHUNK_BYTES, type FileTable, readChunk, readTable } from './blob-file.ts';
import type { Location } from './blob-index.ts';
import { type Descriptors, damaged, diskError, errorCode, readUpTo, readUpToSync } from './blob-io.ts';
import { decodeRecordHeader, FLAG_ZSTD, RECORD_HEADER_BYTES, unpack } from './blob-pack.ts';

const CACHE_BYTES_MAX = 8 * 1024 * 1024;
const HELD_BYTES_MAX = 128 * 1024;
const CHECKED_MAX = 50_000;
const TABLES_MAX = 64;
const SYNC_BYTES_MAX = 256 * 1024;
/** A read that took longer did not come from the page cache. */
const COLD_MS = 2;
const COLD_READS = 16;

export class BlobReader {
  readonly #folder: string;
  readonly #files: Descriptors;
  readonly #cache = new Map<string, Buffer>();
  #cacheBytes = 0;
  /** Records whose checksum was right, and where: read again without a look into the index. */
  #checked = new Map<BlobRef, Location>();
  readonly #tables = new Map<BlobRef, FileTable>();
  #cold = 0;
  #last = { pack: 0, file: '' };

  constructor(folder: string, files: Descriptors) {
    this.#folder = folder;
    this.#files = files;
  }

  /** Bytes [start, end) of a blob, which are within it. Throws ENOENT when its pack has just been compacted away. */
  read(ref: BlobRef, location: Location, start: number, end: number): Buffer | Promise<Buffer> {
    return location.pack === 0 ? this.#fromFile(ref, location, start, end) : this.#fromPack(ref, location, start, end);
  }

  /** A whole blob that is in memory anyway: known and read without a look into the index. */
  held(ref: BlobRef): Buffer | undefined {
    return this.#cached(ref);
  }

  /** Where a record is that was read before. It may have been moved since: then its pack is gone. */
  place(ref: BlobRef): Location | undefined {
    return this.#checked.get(ref);
  }

  /** Keeps a blob that was just put, since whoever put it reads it next. */
  hold(ref: BlobRef, bytes: Buffer): void {
    if (bytes.length <= HELD_BYTES_MAX) this.#keep(ref, bytes);
  }

  /** The blob is gone, or is somewhere else in another shape. */
  forget(ref: BlobRef): void {
    const held = this.#cache.get(ref);
    if (held !== undefined) {
      this.#cache.delete(ref);
      this.#cacheBytes -= held.length;
    }
    this.#checked.delete(ref);
    this.#tables.delete(ref);
  }

  #fromPack(ref: BlobRef, location: Location, start: number, end: number): Buffer | Promise<Buffer> {
    const file = this.#packFile(location.pack);
    const known = this.#checked.has(ref);
    const packed = (location.flags & FLAG_ZSTD) !== 0;
    const payloadAt = location.offset + RECORD_HEADER_BYTES;
    if (known && !packed)
      return this.#bytes(file, payloadAt + start, end - start, (bytes) => {
        if (bytes.length !== end - start) throw damaged('the pack is cut short', { ref, file });
        return bytes;
      });
    const from = known ? payloadAt : location.offset;
    return this.#bytes(file, from, location.offset + location.stored - from, (record) => {
      const payload = known ? record : this.#check(ref, location, file, record);
      const blob = this.#unpack(ref, location, file, payload);
      // A message that is read for the first time is read by the next stages too.
      if (!known && blob.length <= HELD_BYTES_MAX) this.#keep(ref, blob);
      else if (end - start < blob.length) this.#keep(ref, blob);
      return end - start === blob.length ? blob : blob.subarray(start, end);
    });
  }

  /** Most reads go to the pack of the read before. */
  #packFile(pack: number): string {
    if (this.#last.pack !== pack) this.#last = { pack, file: packFile(this.#folder, pack) };
    return this.#last.file;
  }

  /** Runs `use` on bytes of a file: at once where the page cache probably has them. */
  #bytes(file: string, at: number, length: number, use: (bytes: Buffer) => Buffer): Buffer | Promise<Buffer> {
    return this.#files.use<Buffer | Promise<Buffer>>(file, (fd) => {
      if (length > SYNC_BYTES_MAX || this.#cold > 0) {
        if (this.#cold > 0) this.#cold--;
        return readUpTo(fd, at, length).then(use);
      }
      const started = performance.now();
      const bytes = readUpToSync(fd, at, length);
      if (performance.now() - started > COLD_MS) this.#cold = COLD_READS;
      return use(bytes);
    });
  }

  #check(ref: BlobRef, location: Location, file: string, record: Buffer): Buffer {
    const facts = { ref, file, offset: location.offset };
    if (record.length !== location.stored) throw damaged('the pack is cut short', facts);
    const header = decodeRecordHeader(record);
    if (header === undefined || header.ref !== ref) throw damaged('there is no record of it where it should be', facts);
    const payload = record.subarray(RECORD_HEADER_BYTES);
    if (zlib.crc32(payload) !== header.crc) throw damaged('checksum of the stored bytes differs', facts);
    if (this.#checked.size >= CHECKED_MAX) this.#checked = new Map();
    const { pack, offset, stored, size, flags } = location;
    this.#checked.set(ref, { pack, offset, stored, size, flags });
    return payload;
  }

  #unpack(ref: BlobRef, location: Location, file: string, payload: Buffer): Buffer {
    const facts = { ref, file, offset: location.offset };
    let blob: Buffer;
    try {
      blob = unpack(location.flags, location.size, payload);
    } catch (error) {
      throw damaged('it cannot be decompressed', facts, error);
    }
    if (blob.length !== location.size) throw damaged('the pack is cut short', facts);
    return blob;
  }

  async #fromFile(ref: BlobRef, location: Location, start: number, end: number): Promise<Buffer> {
    const file = blobFile(this.#folder, ref);
    return this.#files.use(file, async (fd) => {
      let table = this.#tables.get(ref);
      if (table === undefined) {
        table = await readTable(fd, file);
        if (table.ref !== ref || table.size !== location.size)
          throw damaged('the file is of another blob', { ref, file });
        if (this.#tables.size >= TABLES_MAX) this.#tables.delete(this.#tables.keys().next().value!);
        this.#tables.set(ref, table);
      }
      const pieces: Buffer[] = [];
      for (let at = start; at < end; ) {
        const number = Math.floor(at / CHUNK_BYTES);
        const key = `${ref}/${number}`;
        let chunk = this.#cached(key);
        if (chunk === undefined) {
          chunk = await readChunk(fd, file, table, number);
          this.#keep(key, chunk);
        }
        const first = number * CHUNK_BYTES;
        const piece = chunk.subarray(at - first, end - first);
        pieces.push(piece);
        at += piece.length;
      }
      return pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
    });
  }

  #cached(key: string): Buffer | undefined {
    const bytes = this.#cache.get(key);
    if (bytes === undefined) return;
    this.#cache.delete(key);
    this.#cache.set(key, bytes);
    return bytes;
  }

  #keep(key: string, bytes: Buffer): void {
    if (this.#cache.has(key)) return;
    this.#cache.set(key, bytes);
    this.#cacheBytes += bytes.length;
    for (const [oldest, old] of this.#cache) {
      if (this.#cacheBytes <= CACHE_BYTES_MAX) break;
      this.#cache.delete(oldest);
      this.#cacheBytes -= old.length;
    }
  }
}

/** What a failed read rejects with: a Fault where bytes are missing or wrong, the disk's trouble otherwise. */
export function readError(error: unknown, ref: BlobRef): MailError {
  if (error instanceof MailError) return error;
  if (errorCode(error) === 'ENOENT') return new Fault('blob is damaged: its file is gone', { ref }, error);
  return diskError(error, ref);
}
