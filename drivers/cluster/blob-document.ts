/**
 * How a blob is kept in MongoDB: a document with its bytes inline, or one that names a GridFS file and holds the table of
 * its chunks. Each piece has its own checksum, so also a range is known to be right, and is compressed when that pays.
 */

import { promisify } from 'node:util';
import zlib from 'node:zlib';
import { Fault } from '../../core/mail/errors.ts';
import type { BlobRef } from '../../core/mail/ids.ts';
import type { Identified } from './mongo-types.ts';

/** Blobs that are stored in no more than this are inline. */
export const INLINE_BYTES_MAX = 255 * 1024;
/** Length of a large blob's pieces before compression, and of GridFS's chunks: where nothing is compressed they are the same. */
export const CHUNK_BYTES = 255 * 1024;
/** Smaller ones are read far more often than they are worth the time: zstd takes longer than all else of a read. */
const COMPRESS_BYTES_MIN = 64 * 1024;
const VERSION = 1;
/** In a chunk's stored length: it is a zstd frame. */
const PACKED_BIT = 0x80000000;
const ZSTD_FAST = { params: { [zlib.constants.ZSTD_c_compressionLevel]: 1 } };
const zstd = promisify(zlib.zstdCompress) as (bytes: Uint8Array, options: zlib.ZstdOptions) => Promise<Buffer>;

export interface BlobDocument extends Identified {
  readonly _id: BlobRef;
  readonly v: number;
  readonly size: number;
  /** Bytes of the payload as it is stored. */
  readonly stored: number;
  readonly encoding: 'raw' | 'zstd' | 'chunks';
  readonly state: 'live' | 'dying';
  /** Milliseconds since 1970 when it was last put or touched. */
  readonly at: number;
  readonly data?: Uint8Array;
  /** CRC-32 of `data`. */
  readonly crc?: number;
  /** Its file in GridFS. */
  readonly file?: string;
  /** For each chunk of the file 4 bytes of stored length with PACKED_BIT and 4 of CRC-32. */
  readonly table?: Uint8Array;
}

/** Where the bytes of a large blob are. */
export interface Chunk {
  /** In the GridFS file. */
  readonly offset: number;
  readonly stored: number;
  readonly packed: boolean;
  readonly crc: number;
}

/** Compressed when that saves a tenth, otherwise the same bytes. */
export async function compress(bytes: Uint8Array): Promise<Uint8Array> {
  if (bytes.length < COMPRESS_BYTES_MIN) return bytes;
  const smaller = await zstd(bytes, ZSTD_FAST);
  return smaller.length <= bytes.length * 0.9 ? smaller : bytes;
}

export const inlineBlob = (ref: BlobRef, size: number, payload: Uint8Array, at: number): BlobDocument => ({
  _id: ref,
  v: VERSION,
  size,
  stored: payload.length,
  encoding: payload.length === size ? 'raw' : 'zstd',
  state: 'live',
  at,
  crc: zlib.crc32(payload),
  data: payload,
});

export const fileBlob = (
  ref: BlobRef,
  size: number,
  file: { readonly id: string; readonly stored: number; readonly table: Uint8Array },
  at: number,
): BlobDocument => ({
  _id: ref,
  v: VERSION,
  size,
  stored: file.stored,
  encoding: 'chunks',
  state: 'live',
  at,
  file: file.id,
  table: file.table,
});

/** Lengths and checksums of a large blob's chunks, as they are written. */
export class ChunkTable {
  readonly #words: number[] = [];
  #stored = 0;

  add(payload: Uint8Array, packed: boolean): void {
    this.#words.push(payload.length + (packed ? PACKED_BIT : 0), zlib.crc32(payload));
    this.#stored += payload.length;
  }

  get stored(): number {
    return this.#stored;
  }

  encode(): Uint8Array {
    const table = Buffer.alloc(this.#words.length * 4);
    for (const [i, word] of this.#words.entries()) table.writeUInt32LE(word, i * 4);
    return table;
  }
}

const damaged = (ref: BlobRef, detail: string): Fault => new Fault(`the blob is damaged: ${detail}`, { ref });

/** The chunks of a large blob. @throws Fault where the table does not fit */
export function chunksOf(blob: BlobDocument): readonly Chunk[] {
  const table = Buffer.from(blob.table ?? []);
  if (blob.encoding !== 'chunks' || table.length !== Math.ceil(blob.size / CHUNK_BYTES) * 8)
    throw damaged(blob._id, 'its table of chunks is not whole');
  const chunks: Chunk[] = [];
  let offset = 0;
  for (let at = 0; at < table.length; at += 8) {
    const word = table.readUInt32LE(at);
    const stored = word % PACKED_BIT;
    chunks.push({ offset, stored, packed: word >= PACKED_BIT, crc: table.readUInt32LE(at + 4) });
    offset += stored;
  }
  return chunks;
}

/** The bytes of an inline blob. @throws Fault where they do not match the checksum */
export function inlineBytes(blob: BlobDocument): Buffer {
  const { _id: ref, data, crc, encoding, size } = blob;
  if (data === undefined || zlib.crc32(data) !== crc) throw damaged(ref, 'checksum of the stored bytes differs');
  return unpack(ref, Buffer.from(data.buffer, data.byteOffset, data.length), encoding === 'zstd', size);
}

/** The bytes of one chunk from what is stored. @throws Fault where they do not match the checksum */
export function chunkBytes(ref: BlobRef, chunk: Chunk, size: number, payload: Buffer): Buffer {
  if (payload.length !== chunk.stored || zlib.crc32(payload) !== chunk.crc)
    throw damaged(ref, 'checksum of a chunk differs');
  return unpack(ref, payload, chunk.packed, size);
}

function unpack(ref: BlobRef, payload: Buffer, packed: boolean, size: number): Buffer {
  let bytes = payload;
  try {
    if (packed) bytes = zlib.zstdDecompressSync(payload, { maxOutputLength: Math.max(size, 1) });
  } catch (error) {
    throw new Fault('the blob is damaged: it cannot be decompressed', { ref }, error);
  }
  if (bytes.length !== size) throw damaged(ref, 'it is cut short');
  return bytes;
}
