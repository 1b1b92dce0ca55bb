/**
 * Bodies for FETCH: each section as a byte range of the stored message (never rebuilt from parsed parts), read ahead
 * where it is small and streamed with backpressure where it is not. A literal's length is only announced once its first
 * bytes are at hand, so that a damaged blob costs its own message and not the connection.
 */

import { Fault } from '../mail/errors.ts';
import { layoutSize, readLayout, readRange } from '../mail/layout.ts';
import type { Part } from '../mime/part.ts';
import { sectionRange, selectFields } from '../mime/section.ts';
import { decodeStructure } from '../mime/structure-code.ts';
import type { BlobStore } from '../ports/blob-store.ts';
import type { Content, ContentField } from '../ports/mail-store.ts';
import type { SectionItem } from './fetch-attributes.ts';
import type { ImapInput } from './input.ts';
import type { ImapWriter } from './writer.ts';

/** Larger sections are not read ahead but streamed. */
const READ_AHEAD_BYTES_MAX = 256 * 1024;

type Range = { readonly start: number; readonly end: number };

/** One section of one message: its bytes, the range that has them, or NIL. */
type Prepared =
  | { readonly t: 'nil' }
  | { readonly t: 'bytes'; readonly bytes: Uint8Array }
  | { readonly t: 'stream'; readonly length: number; readonly pieces: AsyncGenerator<Uint8Array>; first: Uint8Array };

/** The sections of one message, on their way. */
export interface PreparedMessage {
  /** Bytes that are held for it. */
  readonly sizeBytes: number;
  /** Rejects where they can't be read. */
  readonly sections: Promise<readonly Prepared[]>;
}

function cut(range: Range, partial: SectionItem['partial']): Range {
  if (partial === null) return range;
  const start = Math.min(range.end, range.start + partial.start);
  return { start, end: Math.min(range.end, start + partial.length) };
}

/** BODY[]: nothing of the structure has to be known. */
const isWhole = (item: SectionItem): boolean => item.path.length === 0 && item.what === '';

/** The whole section, or null where the message has none such. */
function rangeOf(item: SectionItem, size: number, root: () => Part): Range | null {
  if (isWhole(item)) return { start: 0, end: size };
  return sectionRange(root(), item.path, item.what);
}

export class SectionReader {
  readonly #blobs: BlobStore;
  readonly #items: readonly SectionItem[];

  constructor(blobs: BlobStore, items: readonly SectionItem[]) {
    this.#blobs = blobs;
    this.#items = items;
  }

  /** What must be known of the contents. */
  static needs(items: readonly SectionItem[]): readonly ContentField[] {
    if (items.length === 0) return [];
    return items.every(isWhole) ? ['layout'] : ['layout', 'structure'];
  }

  /** Begins to read what the items want of one message. */
  prepare(content: Content): PreparedMessage {
    let decoded: Part | undefined;
    const root = (): Part => {
      decoded ??= decodeStructure(content.structure);
      return decoded;
    };
    const size = layoutSize(content.layout);
    const ranges = this.#items.map((item) => rangeOf(item, size, root));
    let sizeBytes = 0;
    for (const range of ranges)
      if (range !== null) sizeBytes += Math.min(range.end - range.start, READ_AHEAD_BYTES_MAX);
    const sections = Promise.all(this.#items.map((item, i) => this.#read(content, item, ranges[i]!)));
    // A failure is reported to whoever awaits the sections; until then it must not count as unhandled.
    sections.catch(() => {});
    return { sizeBytes, sections };
  }

  async #read(content: Content, item: SectionItem, whole: Range | null): Promise<Prepared> {
    if (whole === null) return { t: 'nil' };
    if (item.fields !== null) {
      const header = await readRange(this.#blobs, content.layout, whole.start, whole.end);
      const bytes = selectFields(header, item.fields.names, item.fields.not);
      // RFC 9051 §6.4.5: the part of a subset is taken after subsetting.
      const { start, end } = cut({ start: 0, end: bytes.length }, item.partial);
      return { t: 'bytes', bytes: bytes.subarray(start, end) };
    }
    const { start, end } = cut(whole, item.partial);
    if (end - start <= READ_AHEAD_BYTES_MAX) {
      return { t: 'bytes', bytes: await readRange(this.#blobs, content.layout, start, end) };
    }
    const pieces = readLayout(this.#blobs, content.layout, start, end);
    const first = await pieces.next();
    if (first.done === true) throw new Fault('a stored message is shorter than its layout', { content: content.id });
    return { t: 'stream', length: end - start, pieces, first: first.value };
  }

  /** Writes one item's name and data; NUL bytes in a message go as they are (docs/deviations.md). */
  async write(out: ImapWriter, input: Pick<ImapInput, 'flush'>, index: number, section: Prepared): Promise<void> {
    out.bytes(this.#items[index]!.label).ascii(' ');
    switch (section.t) {
      case 'nil':
        out.ascii('NIL');
        return;
      case 'bytes':
        out.literal(section.bytes);
        if (out.needsFlush) await input.flush();
        return;
      case 'stream': {
        out.literalHeader(section.length);
        let left = section.length - section.first.length;
        out.bytes(section.first);
        await input.flush();
        for await (const piece of section.pieces) {
          left -= piece.length;
          out.bytes(piece);
          await input.flush();
        }
        if (left !== 0) throw new Fault('a stored message does not have the length of its layout');
      }
    }
  }
}
