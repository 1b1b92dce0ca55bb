/**
 * Large packets are compressed on their way. What comes in may unpack to a thousand times its size, so a few are unpacked
 * at a time and the others wait, packed, within a limit.
 */

import { deflate, inflate } from 'node:zlib';
import { TemporaryError } from '../core/mail/errors.ts';
import { PACKET_BYTES_MAX } from './packet-pieces.ts';
import { Slots } from './slots.ts';

const COMPRESSED_FROM_BYTES = 32 * 1024;
/** The first byte; packets that are not compressed are JSON objects. */
const DEFLATED = 1;
const UNPACKED_AT_ONCE = 2;
/** Of what comes out: with zlib's own pieces of 16 KiB a large packet takes four times as long. */
const CHUNK_BYTES = 256 * 1024;
/** Packed, of those that are unpacked or wait for it. */
const PACKED_BYTES_MAX = 2 * PACKET_BYTES_MAX;

export const isPacked = (bytes: Uint8Array): boolean => bytes[0] === DEFLATED;

export const pack = (data: Buffer): Buffer | Promise<Buffer> =>
  data.length < COMPRESSED_FROM_BYTES
    ? data
    : new Promise((resolve, reject) => {
        // No other node would unpack it.
        if (data.length > PACKET_BYTES_MAX)
          throw new TemporaryError('storeUnavailable', { detail: `a packet of ${data.length} bytes is too large` });
        deflate(data, { level: 1 }, (error, packed) => {
          if (error !== null) reject(error);
          else resolve(Buffer.concat([Buffer.of(DEFLATED), packed]));
        });
      });

const decompress = (data: Buffer): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    inflate(data.subarray(1), { maxOutputLength: PACKET_BYTES_MAX, chunkSize: CHUNK_BYTES }, (error, plain) => {
      if (error !== null) reject(error);
      else resolve(plain);
    });
  });

export class Unpacker {
  readonly #slots = new Slots(UNPACKED_AT_ONCE, Number.POSITIVE_INFINITY);
  #bytes = 0;

  /** Rejects what cannot be unpacked, and what too many others wait before. */
  async unpack(data: Buffer): Promise<Buffer> {
    if (this.#bytes + data.length > PACKED_BYTES_MAX) throw new Error('too much waits to be unpacked');
    this.#bytes += data.length;
    try {
      return (await this.#slots.run(() => decompress(data)))!;
    } finally {
      this.#bytes -= data.length;
    }
  }
}
