/**
 * The format of packs: a 16-byte file header, then records one behind the other, each a 64-byte header and the stored
 * payload. A record describes itself (its blob's SHA-256, sizes and checksums), so packs can be read without an index;
 * a reader that meets garbage finds the next record by its magic and the header's own checksum.
 */

import { hash } from 'node:crypto';
import zlib from 'node:zlib';
import type { BlobRef } from '../../core/mail/ids.ts';
import { readUpTo } from './blob-io.ts';

export const PACK_HEADER = Buffer.from('mailmesh pack 1\n', 'latin1');
export const RECORD_HEADER_BYTES = 64;
/** Blobs up to here go into packs, longer ones into files of their own. */
export const PACKED_BYTES_MAX = 1024 * 1024;
/** The payload is one zstd frame. */
export const FLAG_ZSTD = 1;

const MAGIC = Buffer.from([0x9d, 0x4d, 0x52, 0x31]);
/** More than any record, so that one fill of the window holds it. */
const WINDOW_BYTES = 4 * PACKED_BYTES_MAX;

export interface RecordHeader {
  readonly ref: BlobRef;
  readonly flags: number;
  /** Length of the payload as it is stored. */
  readonly stored: number;
  /** Length of the blob. */
  readonly size: number;
  /** Milliseconds since 1970 when it was put. */
  readonly at: number;
  /** CRC-32 of the stored payload. */
  readonly crc: number;
}

export function encodeRecordHeader(header: RecordHeader): Buffer {
  const bytes = Buffer.alloc(RECORD_HEADER_BYTES);
  MAGIC.copy(bytes, 0);
  bytes.writeUInt32LE(header.flags, 4);
  bytes.writeUInt32LE(header.stored, 8);
  bytes.writeUInt32LE(header.size, 12);
  bytes.writeDoubleLE(header.at, 16);
  bytes.writeUInt32LE(header.crc, 24);
  bytes.write(header.ref, 32, 'hex');
  // The field of this checksum itself is still zero when it is computed.
  bytes.writeUInt32LE(zlib.crc32(bytes), 28);
  return bytes;
}

/** The header at an offset, or undefined where there is none whose checksum fits. */
export function decodeRecordHeader(bytes: Buffer, offset = 0): RecordHeader | undefined {
  if (bytes.length - offset < RECORD_HEADER_BYTES || bytes.compare(MAGIC, 0, 4, offset, offset + 4) !== 0) return;
  const copy = Buffer.from(bytes.subarray(offset, offset + RECORD_HEADER_BYTES));
  const crc = copy.readUInt32LE(28);
  copy.writeUInt32LE(0, 28);
  if (zlib.crc32(copy) !== crc) return;
  return {
    flags: copy.readUInt32LE(4),
    stored: copy.readUInt32LE(8),
    size: copy.readUInt32LE(12),
    at: copy.readDoubleLE(16),
    crc: copy.readUInt32LE(24),
    ref: copy.toString('hex', 32, 64) as BlobRef,
  };
}

/** The blob's bytes from a stored payload. Throws where zstd finds it broken. */
export const unpack = (flags: number, size: number, payload: Uint8Array): Buffer =>
  (flags & FLAG_ZSTD) === 0
    ? Buffer.from(payload.buffer, payload.byteOffset, payload.length)
    : zlib.zstdDecompressSync(payload, { maxOutputLength: Math.max(size, 1), chunkSize: Math.max(size, 64) });

/** What is wrong with a record, in words, or null: all of its checksums are compared. */
export function recordProblem(header: RecordHeader, payload: Uint8Array): string | null {
  if (zlib.crc32(payload) !== header.crc) return 'checksum of the stored bytes differs';
  try {
    const bytes = unpack(header.flags, header.size, payload);
    if (bytes.length !== header.size) return `${bytes.length} bytes instead of ${header.size}`;
    return hash('sha256', bytes, 'hex') === header.ref ? null : 'SHA-256 differs';
  } catch (error) {
    return `cannot be decompressed: ${(error as Error).message}`;
  }
}

export interface ScannedRecord {
  readonly t: 'record';
  readonly offset: number;
  readonly end: number;
  readonly header: RecordHeader;
  /** The header's bytes. */
  readonly raw: Buffer;
  readonly payload: Buffer;
}
/** Bytes that are no record: a torn tail or damage. */
interface Gap {
  readonly t: 'gap';
  readonly offset: number;
  readonly end: number;
}

/** A sliding picture of a file, filled with few large reads. */
class Window {
  readonly #fd: number;
  readonly #to: number;
  #bytes: Buffer = Buffer.alloc(0);
  #start = 0;

  constructor(fd: number, to: number) {
    this.#fd = fd;
    this.#to = to;
  }

  /** Bytes from `at` on; shorter than asked for only at the end. */
  async bytes(at: number, length: number): Promise<Buffer> {
    const wanted = Math.min(length, this.#to - at);
    if (at < this.#start || at + wanted > this.#start + this.#bytes.length) {
      this.#bytes = await readUpTo(this.#fd, at, Math.min(WINDOW_BYTES, this.#to - at));
      this.#start = at;
    }
    return this.#bytes.subarray(at - this.#start, at - this.#start + wanted);
  }

  /** Where the next magic is at or behind `at`, or the end. Each byte is read once, however many magics there are. */
  async find(at: number): Promise<number> {
    let from = at;
    while (from < this.#to) {
      const left = this.#start + this.#bytes.length - from;
      const inside = from >= this.#start && left >= Math.min(MAGIC.length, this.#to - from);
      const bytes = await this.bytes(from, inside ? left : WINDOW_BYTES);
      const found = bytes.indexOf(MAGIC);
      if (found !== -1) return from + found;
      if (bytes.length < MAGIC.length) break;
      from += bytes.length - MAGIC.length + 1;
    }
    return this.#to;
  }
}

/** The records in [from, to) and the gaps between them. Payloads are not checked; see `recordProblem`. */
export async function* scanPack(fd: number, from: number, to: number): AsyncGenerator<ScannedRecord | Gap> {
  const window = new Window(fd, to);
  let at = from;
  let gap = -1;
  while (at < to) {
    const raw = await window.bytes(at, RECORD_HEADER_BYTES);
    const header = decodeRecordHeader(raw);
    const end = header === undefined ? Infinity : at + RECORD_HEADER_BYTES + header.stored;
    if (header === undefined || header.stored > PACKED_BYTES_MAX || end > to) {
      if (gap === -1) gap = at;
      at = await window.find(at + 1);
      continue;
    }
    if (gap !== -1) yield { t: 'gap', offset: gap, end: at };
    gap = -1;
    const payload = await window.bytes(at + RECORD_HEADER_BYTES, header.stored);
    // The file became shorter meanwhile, or the disk gives less than it has.
    if (payload.length < header.stored) break;
    yield { t: 'record', offset: at, end, header, raw, payload };
    at = end;
  }
  if (gap !== -1 || at < to) yield { t: 'gap', offset: gap === -1 ? at : gap, end: to };
}
