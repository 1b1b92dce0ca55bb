/**
 * Blobs on this machine's disk: append-only packs with one fdatasync for all puts that wait, a file each for blobs above
 * 1 MiB, and an index that is written behind and can be made again from them. A blob is never changed in place: what was
 * acknowledged is a record (or file) that checks itself.
 */

import { hash, randomUUID } from 'node:crypto';
import path from 'node:path';
import { promisify } from 'node:util';
import zlib from 'node:zlib';
import { Fault } from '../../core/mail/errors.ts';
import type { BlobRef } from '../../core/mail/ids.ts';
import type { BlobInfo, BlobStats, BlobStore, BlobWriter, Damage } from '../../core/ports/blob-store.ts';
import { HashingBlobWriter } from '../blob-writer.ts';
import { PackAppender } from './blob-appender.ts';
import { backupBlobs } from './blob-backup.ts';
import { collectBlobs } from './blob-collect.ts';
import { Shards, Spool } from './blob-file.ts';
import { BlobIndex, type Location } from './blob-index.ts';
import { Descriptors, errorCode } from './blob-io.ts';
import { encodeRecordHeader, FLAG_ZSTD, PACKED_BYTES_MAX, RECORD_HEADER_BYTES } from './blob-pack.ts';
import type { BlobParts } from './blob-parts.ts';
import { BlobReader, readError } from './blob-reader.ts';
import { recoverBlobs } from './blob-recover.ts';
import { verifyBlobs } from './blob-verify.ts';

const PACK_BYTES_MAX = 256 * 1024 * 1024;
const DESCRIPTORS_MAX = 256;
/** Smaller ones are read far more often than they are worth the time: zstd takes longer than all else of a read. */
const COMPRESS_BYTES_MIN = 128 * 1024;
const ZSTD_FAST = { params: { [zlib.constants.ZSTD_c_compressionLevel]: 1 } };
const compress = promisify(zlib.zstdCompress) as (bytes: Uint8Array, options: zlib.ZstdOptions) => Promise<Buffer>;

export class EmbeddedBlobStore implements BlobStore {
  readonly #folder: string;
  readonly #now: () => number;
  readonly #parts: BlobParts;
  readonly #shards: Shards;
  /** Puts at work by ref: an equal one waits for the first instead of writing the bytes again. */
  readonly #writing = new Map<BlobRef, Promise<BlobInfo>>();
  /** Collection, verification and backup exclude each other. */
  #maintenance: Promise<unknown> = Promise.resolve();
  #opened = false;

  /** @param options.packSizeBytesMax where a pack is closed and the next begun */
  constructor(options: { folder: string; now: () => number; packSizeBytesMax?: number }) {
    this.#folder = options.folder;
    this.#now = options.now;
    this.#shards = new Shards(options.folder);
    const files = new Descriptors(DESCRIPTORS_MAX);
    this.#parts = {
      folder: options.folder,
      index: new BlobIndex(options.folder),
      appender: new PackAppender(options.folder, options.packSizeBytesMax ?? PACK_BYTES_MAX, new Map()),
      files,
      reader: new BlobReader(options.folder, files),
      isWriting: (ref) => this.#writing.has(ref),
      stuck: new Set(),
    };
  }

  async open(): Promise<void> {
    await recoverBlobs(this.#parts, this.#now());
    this.#opened = true;
  }

  async close(): Promise<void> {
    if (!this.#opened) return;
    this.#opened = false;
    const { appender, index, files } = this.#parts;
    await this.#maintenance.catch(() => undefined);
    await Promise.allSettled(this.#writing.values());
    await appender.close();
    if (await index.settled()) await index.remember('clean', 1);
    await index.close();
    files.close();
  }

  writer(): BlobWriter {
    return new HashingBlobWriter({
      memoryBytesMax: PACKED_BYTES_MAX,
      overflow: () => new Spool(path.join(this.#folder, 'tmp', randomUUID())),
      putSmall: async (ref, bytes) => {
        const info = await this.#put(ref, bytes.length, () => this.#append(ref, bytes));
        this.#parts.reader.hold(ref, bytes);
        return info;
      },
      putLarge: (ref, size, spool) => this.#putSpooled(ref, size, spool),
    });
  }

  async put(bytes: Uint8Array): Promise<BlobInfo> {
    if (bytes.length > PACKED_BYTES_MAX) {
      const writer = this.writer();
      await writer.write(bytes);
      return writer.commit();
    }
    const ref = hash('sha256', bytes, 'hex') as BlobRef;
    return this.#put(ref, bytes.length, () => this.#append(ref, bytes));
  }

  async stat(ref: BlobRef): Promise<BlobInfo | undefined> {
    const location = this.#parts.index.find(ref);
    return location === undefined ? undefined : { ref, size: location.size };
  }

  async read(ref: BlobRef, start: number, end: number): Promise<Uint8Array> {
    const { reader, index } = this.#parts;
    const held = reader.held(ref);
    if (held !== undefined && start >= 0 && start <= end && end <= held.length) return held.subarray(start, end);
    for (let attempt = 1; ; attempt++) {
      const location = reader.place(ref) ?? index.find(ref);
      if (location === undefined) throw new Fault('no such blob', { ref });
      if (!(start >= 0 && start <= end && end <= location.size))
        throw new Fault('bytes outside of the blob', { ref, start, end, size: location.size });
      try {
        return await reader.read(ref, location, start, end);
      } catch (error) {
        // Compaction has moved it since the place was looked up.
        if (errorCode(error) !== 'ENOENT' || attempt === 3) throw readError(error, ref);
        reader.forget(ref);
      }
    }
  }

  collect(options: Parameters<BlobStore['collect']>[0]): ReturnType<BlobStore['collect']> {
    return this.#alone(() => collectBlobs(this.#parts, options));
  }

  verify(repair: boolean): Promise<readonly Damage[]> {
    return this.#alone(() => verifyBlobs(this.#parts, repair, this.#now()));
  }

  backup(destination: string): Promise<void> {
    return this.#alone(() => backupBlobs(this.#parts, destination));
  }

  async stats(): Promise<BlobStats> {
    const { index, appender } = this.#parts;
    await index.settled();
    let count = 0;
    let bytes = 0;
    let stored = 0;
    for (const pack of await index.packs()) {
      count += pack.count;
      bytes += pack.bytes;
      if (pack.pack === 0) stored += pack.stored;
    }
    for (const end of appender.ends.values()) stored += end;
    return { count, bytes, stored };
  }

  #alone<T>(run: () => Promise<T>): Promise<T> {
    const result = this.#maintenance.then(run, run);
    this.#maintenance = result;
    return result;
  }

  #put(ref: BlobRef, size: number, write: () => Promise<Location>): Promise<BlobInfo> {
    const running = this.#writing.get(ref);
    if (running !== undefined) return running;
    const promise = this.#putOnce(ref, size, write).finally(() => this.#writing.delete(ref));
    this.#writing.set(ref, promise);
    return promise;
  }

  async #putOnce(ref: BlobRef, size: number, write: () => Promise<Location>): Promise<BlobInfo> {
    const { index } = this.#parts;
    const known = index.find(ref) !== undefined && (await index.touch(ref, this.#now()));
    if (!known) await index.add(ref, await write(), this.#now());
    return { ref, size };
  }

  async #append(ref: BlobRef, bytes: Uint8Array): Promise<Location> {
    let payload = bytes;
    if (bytes.length >= COMPRESS_BYTES_MIN) {
      const smaller = await compress(bytes, ZSTD_FAST);
      if (smaller.length <= bytes.length * 0.9) payload = smaller;
    }
    const flags = payload === bytes ? 0 : FLAG_ZSTD;
    const header = encodeRecordHeader({
      ref,
      flags,
      stored: payload.length,
      size: bytes.length,
      at: this.#now(),
      crc: zlib.crc32(payload),
    });
    const place = await this.#parts.appender.append(header, payload);
    return { ...place, stored: RECORD_HEADER_BYTES + payload.length, size: bytes.length, flags };
  }

  async #putSpooled(ref: BlobRef, size: number, spool: Spool): Promise<BlobInfo> {
    try {
      return await this.#put(ref, size, async () => {
        const stored = await spool.publish(this.#folder, this.#shards, ref);
        return { pack: 0, offset: 0, stored, size, flags: 0 };
      });
    } finally {
      await spool.discard();
    }
  }
}
