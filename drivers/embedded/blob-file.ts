/**
 * Files of their own for blobs beyond a pack's record: chunks of 256 KiB, each compressed when that pays and with its own
 * checksum, then the table of chunks and a footer. So a range costs only the chunks it touches, and each is checked.
 */

import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import zlib from 'node:zlib';
import type { BlobRef } from '../../core/mail/ids.ts';
import { closeFile, damaged, diskError, openFile, readUpTo, syncFile, syncFolder, writeAll } from './blob-io.ts';

export const CHUNK_BYTES = 256 * 1024;
const FOOTER_BYTES = 64;
const MAGIC = Buffer.from('mailmesh blob 1\n', 'latin1');
/** In a chunk's stored length: it is a zstd frame. */
const PACKED_BIT = 0x80000000;
const ZSTD_FAST = { params: { [zlib.constants.ZSTD_c_compressionLevel]: 1 } };
const compress = promisify(zlib.zstdCompress) as (bytes: Uint8Array, options: zlib.ZstdOptions) => Promise<Buffer>;

interface Chunk {
  readonly offset: number;
  readonly stored: number;
  readonly packed: boolean;
  readonly crc: number;
}
export interface FileTable {
  readonly size: number;
  readonly ref: BlobRef;
  readonly chunks: readonly Chunk[];
}

export const blobFile = (folder: string, ref: BlobRef): string => path.join(folder, 'files', ref.slice(0, 2), ref);

/** The blobs that have a file, by the files' names. */
export function* blobFileRefs(folder: string): Generator<BlobRef> {
  for (const shard of fs.readdirSync(path.join(folder, 'files'))) {
    for (const name of fs.readdirSync(path.join(folder, 'files', shard)))
      if (/^[0-9a-f]{64}$/.test(name)) yield name as BlobRef;
  }
}

/** The 256 folders that files are spread over, each made when it is first needed. */
export class Shards {
  readonly #folder: string;
  readonly #ready = new Map<string, Promise<void>>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Resolves when the folder of a blob's file survives power loss. */
  ready(ref: BlobRef): Promise<void> {
    const shard = ref.slice(0, 2);
    let ready = this.#ready.get(shard);
    if (ready === undefined) {
      ready = this.#make(shard);
      this.#ready.set(shard, ready);
      ready.catch(() => this.#ready.delete(shard));
    }
    return ready;
  }

  async #make(shard: string): Promise<void> {
    const files = path.join(this.#folder, 'files');
    await fs.promises.mkdir(path.join(files, shard), { recursive: true });
    await syncFolder(files);
  }
}

/** A blob being written to a temporary file. */
export class Spool {
  readonly #file: string;
  #fd: number | undefined;
  #position = 0;
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  #size = 0;
  #table: number[] = [];
  /** Chunks in a row that did not shrink: when many, the rest is not tried. */
  #incompressible = 0;

  constructor(file: string) {
    this.#file = file;
  }

  /** Takes bytes that stay as they are. Resolves when the whole chunks among them are written. */
  async add(bytes: Buffer): Promise<void> {
    this.#size += bytes.length;
    this.#pending.push(bytes);
    this.#pendingBytes += bytes.length;
    if (this.#pendingBytes < CHUNK_BYTES) return;
    const all = Buffer.concat(this.#pending);
    let at = 0;
    for (; all.length - at >= CHUNK_BYTES; at += CHUNK_BYTES) await this.#chunk(all.subarray(at, at + CHUNK_BYTES));
    this.#pending = [all.subarray(at)];
    this.#pendingBytes = all.length - at;
  }

  async #chunk(bytes: Buffer): Promise<void> {
    let stored = bytes;
    if (this.#incompressible < 4) {
      const smaller = await compress(bytes, ZSTD_FAST);
      if (smaller.length <= bytes.length * 0.9) stored = smaller;
      this.#incompressible = stored === bytes ? this.#incompressible + 1 : 0;
    }
    try {
      this.#fd ??= await openFile(this.#file, 'wx');
      await writeAll(this.#fd, [stored], this.#position);
    } catch (error) {
      throw diskError(error, this.#file);
    }
    this.#position += stored.length;
    this.#table.push(stored === bytes ? stored.length : stored.length + PACKED_BIT, zlib.crc32(stored));
  }

  /** Gives the file its name. Resolves with its length on the disk once it survives power loss. */
  async publish(folder: string, shards: Shards, ref: BlobRef): Promise<number> {
    if (this.#pendingBytes > 0) await this.#chunk(Buffer.concat(this.#pending));
    const table = Buffer.alloc(this.#table.length * 4);
    this.#table.forEach((value, i) => {
      table.writeUInt32LE(value, i * 4);
    });
    const footer = Buffer.alloc(FOOTER_BYTES);
    footer.writeUInt32LE(zlib.crc32(table), 0);
    footer.writeUInt32LE(this.#table.length / 2, 4);
    footer.writeDoubleLE(this.#size, 8);
    footer.write(ref, 16, 'hex');
    MAGIC.copy(footer, 48);
    const target = blobFile(folder, ref);
    try {
      await writeAll(this.#fd!, [table, footer], this.#position);
      await syncFile(this.#fd!);
      await this.#leave();
      await shards.ready(ref);
      await fs.promises.rename(this.#file, target);
      await syncFolder(path.dirname(target));
    } catch (error) {
      throw diskError(error, target);
    }
    return this.#position + table.length + FOOTER_BYTES;
  }

  async discard(): Promise<void> {
    await this.#leave();
    await fs.promises.rm(this.#file, { force: true });
  }

  async #leave(): Promise<void> {
    const fd = this.#fd;
    this.#fd = undefined;
    if (fd !== undefined) await closeFile(fd);
  }
}

/** The table of an open blob file. Rejects with a Fault where it is cut short or broken. */
export async function readTable(fd: number, file: string): Promise<FileTable> {
  const length = fs.fstatSync(fd).size;
  const footer = await readUpTo(fd, Math.max(0, length - FOOTER_BYTES), Math.min(length, FOOTER_BYTES));
  if (footer.length < FOOTER_BYTES || footer.compare(MAGIC, 0, 16, 48, 64) !== 0)
    throw damaged('the file is cut short', { file });
  const count = footer.readUInt32LE(4);
  const size = footer.readDoubleLE(8);
  const start = length - FOOTER_BYTES - count * 8;
  const table = start < 0 ? Buffer.alloc(0) : await readUpTo(fd, start, count * 8);
  if (
    table.length !== count * 8 ||
    zlib.crc32(table) !== footer.readUInt32LE(0) ||
    count !== Math.ceil(size / CHUNK_BYTES)
  )
    throw damaged('the table of chunks does not match its checksum', { file });
  const chunks: Chunk[] = [];
  let offset = 0;
  for (let i = 0; i < count; i++) {
    const word = table.readUInt32LE(i * 8);
    const stored = word % PACKED_BIT;
    chunks.push({ offset, stored, packed: word >= PACKED_BIT, crc: table.readUInt32LE(i * 8 + 4) });
    offset += stored;
  }
  return { size, ref: footer.toString('hex', 16, 48) as BlobRef, chunks };
}

/** The bytes of one chunk. Rejects with a Fault where its checksum differs. */
export async function readChunk(fd: number, file: string, table: FileTable, number: number): Promise<Buffer> {
  const chunk = table.chunks[number]!;
  const size = Math.min(CHUNK_BYTES, table.size - number * CHUNK_BYTES);
  const stored = await readUpTo(fd, chunk.offset, chunk.stored);
  if (stored.length !== chunk.stored || zlib.crc32(stored) !== chunk.crc)
    throw damaged(`checksum of chunk ${number} differs`, { file, chunk: number });
  const bytes = chunk.packed ? zlib.zstdDecompressSync(stored, { maxOutputLength: size }) : stored;
  if (bytes.length !== size) throw damaged(`chunk ${number} is cut short`, { file, chunk: number });
  return bytes;
}

/** Reads a whole blob file and compares all of its checksums: what is wrong with it, in words, or null. */
export async function fileProblem(fd: number, file: string, ref: BlobRef): Promise<string | null> {
  const digest = createHash('sha256');
  try {
    const table = await readTable(fd, file);
    for (let i = 0; i < table.chunks.length; i++) digest.update(await readChunk(fd, file, table, i));
    return table.ref === ref && digest.digest('hex') === ref ? null : 'SHA-256 differs';
  } catch (error) {
    return (error as Error).message;
  }
}
