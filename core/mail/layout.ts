/**
 * How a stored message's bytes are put together. A layout is a list of segments: bytes of our own (the header fields
 * that we prepend), ranges of a blob as it was received, and parts whose transfer encoding was taken off so that equal
 * attachments are kept once. Reading a layout gives the message byte for byte; whoever makes one with a `base64` segment
 * has compared it with the original first.
 */

import { Fault } from './errors.ts';
import type { BlobRef } from './ids.ts';

export type Segment =
  | { readonly t: 'bytes'; readonly bytes: Uint8Array }
  /** Bytes [start, end) of a blob. */
  | { readonly t: 'blob'; readonly ref: BlobRef; readonly start: number; readonly end: number }
  /**
   * A whole blob of `size` bytes, shown as base64 (RFC 2045 §6.8) in lines of `lineLength` characters (a multiple of 4)
   * joined by `eol`; no line end behind the last line.
   */
  | {
      readonly t: 'base64';
      readonly ref: BlobRef;
      readonly size: number;
      readonly lineLength: number;
      readonly eol: '\r\n' | '\n';
    };

export type Layout = readonly Segment[];

/** What a layout is read from: a part of the blob store's port. */
export interface RangeReader {
  /** Bytes [start, end) of a blob. */
  read(ref: BlobRef, start: number, end: number): Promise<Uint8Array>;
}

/** Pieces handed out by `readLayout` are at most about this long. */
export const PIECE_BYTES = 256 * 1024;

/** Length in bytes of what a segment shows. */
function segmentSize(segment: Segment): number {
  switch (segment.t) {
    case 'bytes':
      return segment.bytes.length;
    case 'blob':
      return segment.end - segment.start;
    case 'base64': {
      const characters = Math.ceil(segment.size / 3) * 4;
      const lines = Math.max(1, Math.ceil(characters / segment.lineLength));
      return characters + (lines - 1) * segment.eol.length;
    }
  }
}

export const layoutSize = (layout: Layout): number => layout.reduce((sum, segment) => sum + segmentSize(segment), 0);

/** The blobs a layout needs, each once. */
export const layoutBlobs = (layout: Layout): BlobRef[] => [
  ...new Set(layout.flatMap((segment) => (segment.t === 'bytes' ? [] : [segment.ref]))),
];

/** A layout of one whole blob. */
export const wholeBlob = (ref: BlobRef, size: number): Layout => [{ t: 'blob', ref, start: 0, end: size }];

async function* readBase64(
  blobs: RangeReader,
  segment: Segment & { t: 'base64' },
  start: number,
  end: number,
): AsyncGenerator<Uint8Array> {
  const stride = segment.lineLength + segment.eol.length;
  const bytesPerLine = (segment.lineLength / 4) * 3;
  const linesAtOnce = Math.max(1, Math.floor(PIECE_BYTES / stride));
  for (let line = Math.floor(start / stride); line * stride < end; line += linesAtOnce) {
    const from = line * bytesPerLine;
    const to = Math.min(segment.size, from + linesAtOnce * bytesPerLine);
    const text = Buffer.from(await blobs.read(segment.ref, from, to)).toString('base64');
    const lines: string[] = [];
    for (let i = 0; i < text.length; i += segment.lineLength) lines.push(text.slice(i, i + segment.lineLength));
    let piece = lines.join(segment.eol);
    if (to < segment.size) piece += segment.eol;
    const offset = line * stride;
    const bytes = Buffer.from(piece, 'latin1').subarray(Math.max(0, start - offset), Math.max(0, end - offset));
    if (bytes.length > 0) yield bytes;
  }
}

/** Bytes [start, end) of the message, in order, in pieces of at most about PIECE_BYTES. */
export async function* readLayout(
  blobs: RangeReader,
  layout: Layout,
  start = 0,
  end = layoutSize(layout),
): AsyncGenerator<Uint8Array> {
  let offset = 0;
  for (const segment of layout) {
    const size = segmentSize(segment);
    const from = Math.max(0, start - offset);
    const to = Math.min(size, end - offset);
    offset += size;
    if (from >= to) continue;
    if (segment.t === 'bytes') yield segment.bytes.subarray(from, to);
    else if (segment.t === 'base64') yield* readBase64(blobs, segment, from, to);
    else {
      for (let at = from; at < to; at += PIECE_BYTES) {
        const stop = Math.min(to, at + PIECE_BYTES);
        yield await blobs.read(segment.ref, segment.start + at, segment.start + stop);
      }
    }
    if (offset >= end) return;
  }
}

/** Bytes [start, end) of the message in one buffer: for ranges that the caller has bounded. */
export async function readRange(
  blobs: RangeReader,
  layout: Layout,
  start = 0,
  end = layoutSize(layout),
): Promise<Uint8Array> {
  const only = layout.length === 1 ? layout[0]! : undefined;
  // Most messages: one read, without the cost of a generator.
  if (only?.t === 'blob' && start <= end && end <= only.end - only.start)
    return blobs.read(only.ref, only.start + start, only.start + end);
  const pieces: Uint8Array[] = [];
  for await (const piece of readLayout(blobs, layout, start, end)) pieces.push(piece);
  return pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
}

/** A layout without the bytes of the given ranges (offsets in the layout, ascending, apart). Only raw segments may be cut. */
export function withoutRanges(layout: Layout, ranges: readonly (readonly [start: number, end: number])[]): Layout {
  const result: Segment[] = [];
  let offset = 0;
  for (const segment of layout) {
    const size = segmentSize(segment);
    let from = 0;
    for (const [start, end] of ranges) {
      const cutFrom = Math.max(0, start - offset);
      const cutTo = Math.min(size, end - offset);
      if (cutFrom >= cutTo) continue;
      if (cutFrom > from) result.push(slice(segment, from, cutFrom));
      from = cutTo;
    }
    if (from < size) result.push(from === 0 ? segment : slice(segment, from, size));
    offset += size;
  }
  return result;
}

function slice(segment: Segment, from: number, to: number): Segment {
  switch (segment.t) {
    case 'bytes':
      return { t: 'bytes', bytes: segment.bytes.subarray(from, to) };
    case 'blob':
      return { ...segment, start: segment.start + from, end: segment.start + to };
    case 'base64':
      throw new Fault('a base64 segment cannot be cut');
  }
}

/** A layout as bytes, to be stored; `decodeLayout` is its inverse. */
export function encodeLayout(layout: Layout): Uint8Array {
  return Buffer.from(
    JSON.stringify(
      layout.map((segment) =>
        segment.t === 'bytes' ? { t: 'bytes', b: Buffer.from(segment.bytes).toString('latin1') } : segment,
      ),
    ),
  );
}

export function decodeLayout(bytes: Uint8Array): Layout {
  const rows = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8')) as (
    | Exclude<Segment, { t: 'bytes' }>
    | { t: 'bytes'; b: string }
  )[];
  return rows.map((row) => (row.t === 'bytes' ? { t: 'bytes', bytes: Buffer.from(row.b, 'latin1') } : row));
}
