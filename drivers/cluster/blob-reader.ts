/**
 * Reading blobs. Inline ones come whole with their document; of large ones only the chunks that a range touches. Every
 * piece that comes from the server is compared with its checksum.
 */

import { Fault } from '../../core/mail/errors.ts';
import type { BlobRef } from '../../core/mail/ids.ts';
import { type BlobDocument, CHUNK_BYTES, type Chunk, chunkBytes, chunksOf, inlineBytes } from './blob-document.ts';
import type { BlobParts } from './blob-parts.ts';

/** Large blobs whose tables of chunks are kept. */
const TABLES_MAX = 64;

interface Large {
  readonly size: number;
  readonly file: string;
  readonly chunks: readonly Chunk[];
}

export class BlobReader {
  readonly #parts: BlobParts;
  readonly #tables = new Map<BlobRef, Large>();

  constructor(parts: BlobParts) {
    this.#parts = parts;
  }

  async read(ref: BlobRef, start: number, end: number): Promise<Uint8Array> {
    const held = this.#parts.cache.get(ref);
    if (held !== undefined) return slice(ref, held, start, end);
    const known = this.#tables.get(ref);
    if (known !== undefined) {
      try {
        return await this.#fromFile(ref, known, start, end);
      } catch (error) {
        // It may have been deleted and put again, and be in another file now.
        if (!(error instanceof Fault)) throw error;
        this.#tables.delete(ref);
      }
    }
    const blob = (await this.#parts.blobs.findOne({ _id: ref })) as BlobDocument | undefined;
    if (blob === undefined) throw new Fault('no such blob', { ref });
    if (blob.encoding !== 'chunks') {
      const bytes = inlineBytes(blob);
      const range = slice(ref, bytes, start, end);
      if (range.length < bytes.length) this.#parts.cache.keep(ref, bytes);
      return range;
    }
    const large = { size: blob.size, file: blob.file!, chunks: chunksOf(blob) };
    if (this.#tables.size >= TABLES_MAX) this.#tables.delete(this.#tables.keys().next().value!);
    this.#tables.set(ref, large);
    return this.#fromFile(ref, large, start, end);
  }

  /** The blob is gone. */
  forget(ref: BlobRef): void {
    this.#parts.cache.forget(ref);
    this.#tables.delete(ref);
  }

  async #fromFile(ref: BlobRef, large: Large, start: number, end: number): Promise<Uint8Array> {
    checkRange(ref, large.size, start, end);
    if (start === end) return Buffer.alloc(0);
    const first = Math.floor(start / CHUNK_BYTES);
    const last = Math.floor((end - 1) / CHUNK_BYTES);
    const held = new Map<number, Buffer>();
    for (let n = first; n <= last; n++) {
      const bytes = this.#parts.cache.get(`${large.file}/${n}`);
      if (bytes !== undefined) held.set(n, bytes);
    }
    let [from, to] = [first, last];
    while (from <= to && held.has(from)) from++;
    while (to >= from && held.has(to)) to--;
    if (from <= to) for await (const [n, bytes] of readChunks(this.#parts, ref, large, from, to)) held.set(n, bytes);
    const pieces: Buffer[] = [];
    for (let n = first; n <= last; n++) {
      const bytes = held.get(n)!;
      const offset = n * CHUNK_BYTES;
      const piece = bytes.subarray(Math.max(0, start - offset), end - offset);
      if (piece.length < bytes.length) this.#parts.cache.keep(`${large.file}/${n}`, bytes);
      pieces.push(piece);
    }
    return pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
  }
}

/** Chunks `from` to `to` of a large blob, in order, some at a time. */
export async function* readChunks(
  { chunks }: BlobParts,
  ref: BlobRef,
  large: Large,
  from: number,
  to: number,
): AsyncGenerator<readonly [n: number, bytes: Buffer]> {
  // So many at once that the answer is bounded, whatever the range.
  const STEP = 16;
  for (let n = from; n <= to; n += STEP) {
    const wanted = large.chunks.slice(n, Math.min(to + 1, n + STEP));
    const start = wanted[0]!.offset;
    const end = wanted.at(-1)!.offset + wanted.at(-1)!.stored;
    const first = Math.floor(start / CHUNK_BYTES);
    const last = Math.floor((end - 1) / CHUNK_BYTES);
    const filter = { files_id: large.file, n: { $gte: first, $lte: last } };
    const found = await chunks.find({ filter, sort: { n: 1 }, limit: last - first + 1, fields: ['n', 'data'] });
    if (found.some((chunk, i) => chunk.n !== first + i))
      throw new Fault('the blob is damaged: a part is gone', { ref });
    const stored = Buffer.concat(found.map((chunk) => chunk.data));
    for (const [i, chunk] of wanted.entries()) {
      const at = chunk.offset - first * CHUNK_BYTES;
      const size = Math.min(CHUNK_BYTES, large.size - (n + i) * CHUNK_BYTES);
      yield [n + i, chunkBytes(ref, chunk, size, stored.subarray(at, at + chunk.stored))];
    }
  }
}

function slice(ref: BlobRef, bytes: Buffer, start: number, end: number): Buffer {
  checkRange(ref, bytes.length, start, end);
  return bytes.subarray(start, end);
}

function checkRange(ref: BlobRef, size: number, start: number, end: number): void {
  if (!(start >= 0 && start <= end && end <= size))
    throw new Fault('bytes outside of the blob', { ref, start, end, size });
}
