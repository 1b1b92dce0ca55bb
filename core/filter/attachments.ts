/**
 * The attachments stage: what a message carries (types by declaration and by content, names, digests), what is
 * suspicious about it, and which base64 parts can be kept decoded, once for all messages that have them. It changes
 * nothing in the message: delivery decides by `split` and compares again (core/delivery/assemble.ts).
 */

import { createHash, hash } from 'node:crypto';
import type { BlobRef } from '../mail/ids.ts';
import { PIECE_BYTES } from '../mail/layout.ts';
import { type Base64Shape, base64Shape, decodeExactly, LINE_LENGTH_MAX } from '../mime/base64-lines.ts';
import { partFilename } from '../mime/parameters.ts';
import type { Part } from '../mime/part.ts';
import { SNIFF_BYTES, sniffType } from '../mime/sniff.ts';
import { StructureParser } from '../mime/structure.ts';
import { decodeTransfer } from '../mime/transfer.ts';
import { TransferDecoder } from '../mime/transfer-decoder.ts';
import { judgeAttachment, type Mark } from './attachment-marks.ts';
import type { StageContext, StageHandler, StageResult } from './stage.ts';

const VERSION = 'attachments-1';

/** Messages up to this size are read once and kept while they are looked at. */
const WHOLE_BYTES_MAX = 1024 * 1024;
/** Smaller decoded contents are not worth a blob of their own. */
const SPLIT_BYTES_MIN = 32 * 1024;
const PARTS_LISTED_MAX = 50;
const SPLITS_MAX = 30;
const REASONS_MAX = 10;
/** Of the facts as JSON; core/filter/verdict.ts allows 16 KiB. */
const FACTS_BYTES_MAX = 15 * 1024;
const FILENAME_LENGTH_MAX = 100;
const TYPE_LENGTH_MAX = 80;
/** More raw bytes than this around split parts become a blob of their own. */
const SKELETON_INLINE_BYTES_MAX = 16 * 1024;

/** A part of the message that its decoded bytes can stand for. */
export interface Split extends Base64Shape {
  /** The encoded text in the raw blob. */
  readonly start: number;
  readonly end: number;
  readonly ref: BlobRef;
  /** Bytes of the decoded blob. */
  readonly size: number;
}

interface AttachmentFact {
  /** Section number, for example `2.1`. */
  readonly path: string;
  /** By Content-Type. */
  readonly declared: string;
  /** By its first bytes, or null. */
  readonly sniffed: string | null;
  readonly filename: string | null;
  /** Decoded. */
  readonly sizeBytes: number;
  /** Of the decoded content, in hex. */
  readonly sha256: string;
  readonly marks: readonly Mark[];
}

export interface AttachmentFacts {
  readonly parts: readonly AttachmentFact[];
  /** Leaf parts that there are, also beyond those listed. */
  readonly partsTotal: number;
  readonly split: readonly Split[];
  /** The raw message without the split ranges, when that is too long to be kept inline. */
  readonly skeleton: { readonly ref: BlobRef; readonly size: number } | null;
}

interface Leaf {
  readonly path: string;
  readonly part: Part;
}

/** Parts with content of their own, with their section numbers (RFC 9051 §6.4.5). */
function leaves(root: Part): Leaf[] {
  const found: Leaf[] = [];
  const visit = (part: Part, path: string): void => {
    const scope = part.message?.part ?? part;
    const prefix = path === '' ? '' : `${path}.`;
    if (scope.type === 'multipart' && scope.children.length > 0)
      scope.children.forEach((child, index) => {
        visit(child, `${prefix}${index + 1}`);
      });
    else if (part.message !== null) visit(scope, `${prefix}1`);
    else found.push({ path: path === '' ? '1' : path, part });
  };
  visit(root, '');
  return found;
}

interface Content {
  readonly head: Uint8Array;
  readonly sizeBytes: number;
  readonly sha256: string;
  readonly split: Split | null;
}

/** Reads one accepted message; small ones once, others in pieces. */
class RawMessage {
  readonly #context: StageContext;
  #whole: Uint8Array | null = null;

  constructor(context: StageContext) {
    this.#context = context;
  }

  get size(): number {
    return this.#context.job.message.size;
  }

  async read(start: number, end: number): Promise<Uint8Array> {
    const { signal, blobs, job } = this.#context;
    signal.throwIfAborted();
    if (this.size > WHOLE_BYTES_MAX) return blobs.read(job.message.blob, start, end);
    this.#whole ??= await blobs.read(job.message.blob, 0, this.size);
    return this.#whole.subarray(start, end);
  }

  async *pieces(start: number, end: number, length = PIECE_BYTES): AsyncGenerator<Uint8Array> {
    for (let at = start; at < end; at += length) yield await this.read(at, Math.min(end, at + length));
  }

  async structure(): Promise<Part> {
    const parser = new StructureParser();
    for await (const piece of this.pieces(0, this.size)) parser.push(piece);
    return parser.end();
  }

  async content(part: Part, maySplit: boolean): Promise<Content> {
    const length = part.bodyEnd - part.bodyStart;
    if (maySplit && part.encoding === 'base64' && length * 3 >= SPLIT_BYTES_MIN * 4) {
      const content = await this.#splittable(part);
      if (content !== null) return content;
    }
    if (length > WHOLE_BYTES_MAX) return this.#streamed(part);
    const bytes = decodeTransfer(await this.read(part.bodyStart, part.bodyEnd), part.encoding);
    return {
      head: bytes.subarray(0, SNIFF_BYTES),
      sizeBytes: bytes.length,
      sha256: hash('sha256', bytes),
      split: null,
    };
  }

  async #streamed(part: Part): Promise<Content> {
    const decoder = new TransferDecoder(part.encoding);
    const digest = createHash('sha256');
    let head: Uint8Array | null = null;
    let sizeBytes = 0;
    const take = (bytes: Uint8Array): void => {
      if (bytes.length === 0) return;
      head ??= Buffer.from(bytes.subarray(0, SNIFF_BYTES));
      digest.update(bytes);
      sizeBytes += bytes.length;
    };
    for await (const piece of this.pieces(part.bodyStart, part.bodyEnd)) take(decoder.push(piece));
    take(decoder.end());
    return { head: head ?? new Uint8Array(), sizeBytes, sha256: digest.digest('hex'), split: null };
  }

  /** Puts the decoded bytes into a blob while comparing; null (and no blob) when they cannot stand for the text. */
  async #splittable(part: Part): Promise<Content | null> {
    const range = await this.#textRange(part.bodyStart, part.bodyEnd);
    const shape = base64Shape(await this.read(range.start, Math.min(range.end, range.start + LINE_LENGTH_MAX + 2)));
    if (shape === null) return null;
    const stride = shape.lineLength + shape.eol.length;
    const pieceLength = Math.max(1, Math.floor(PIECE_BYTES / stride)) * stride;
    const writer = this.#context.blobs.writer();
    try {
      let head: Uint8Array | null = null;
      let at = range.start;
      for await (const piece of this.pieces(range.start, range.end, pieceLength)) {
        at += piece.length;
        const bytes = decodeExactly(piece, shape, at === range.end);
        if (bytes === null) return null;
        head ??= bytes.subarray(0, SNIFF_BYTES);
        await writer.write(bytes);
      }
      const { ref, size } = await writer.commit();
      if (head === null) return null;
      // a blob is named by its SHA-256
      return { head, sizeBytes: size, sha256: ref, split: { ...range, ref, size, ...shape } };
    } finally {
      await writer.abort();
    }
  }

  /** Without the line ends around it. */
  async #textRange(start: number, end: number): Promise<{ start: number; end: number }> {
    const first = await this.read(start, Math.min(end, start + 8));
    const last = await this.read(Math.max(start, end - 64), end);
    const isEol = (byte: number | undefined): boolean => byte === 10 || byte === 13;
    let from = 0;
    while (from < first.length && isEol(first[from])) from++;
    let cut = 0;
    while (cut < last.length && isEol(last[last.length - 1 - cut])) cut++;
    return { start: start + from, end: Math.max(start + from, end - cut) };
  }

  /** The raw message without the ranges, as a blob; null when it is short. */
  async skeleton(splits: readonly Split[]): Promise<AttachmentFacts['skeleton']> {
    const left = this.size - splits.reduce((sum, split) => sum + split.end - split.start, 0);
    if (splits.length === 0 || left <= SKELETON_INLINE_BYTES_MAX) return null;
    const writer = this.#context.blobs.writer();
    try {
      let at = 0;
      for (const stop of [...splits, { start: this.size, end: this.size }]) {
        for await (const piece of this.pieces(at, stop.start)) await writer.write(piece);
        at = stop.end;
      }
      return await writer.commit();
    } finally {
      await writer.abort();
    }
  }
}

const jsonBytes = (value: unknown): number => Buffer.byteLength(JSON.stringify(value));

/** Adds up what is found, within the limits of a verdict. */
class Findings {
  readonly parts: AttachmentFact[] = [];
  readonly split: Split[] = [];
  readonly reasons: string[] = [];
  #factsBytes = 0;

  addReasons(reasons: readonly string[]): void {
    this.reasons.push(...reasons.slice(0, REASONS_MAX - this.reasons.length));
  }

  addSplit(split: Split): void {
    this.split.push(split);
    this.#factsBytes += jsonBytes(split);
  }

  addPart(fact: AttachmentFact): void {
    this.#factsBytes += jsonBytes(fact);
    if (this.#factsBytes <= FACTS_BYTES_MAX) this.parts.push(fact);
  }
}

async function examinePart(raw: RawMessage, { path, part }: Leaf, findings: Findings): Promise<void> {
  const content = await raw.content(part, findings.split.length < SPLITS_MAX);
  const filename = partFilename(part);
  const sniffed = sniffType(content.head);
  const { marks, reasons } = judgeAttachment(filename ?? '', sniffed, content.head);
  findings.addReasons(reasons);
  if (content.split !== null) findings.addSplit(content.split);
  findings.addPart({
    path: path.slice(-TYPE_LENGTH_MAX),
    declared: `${part.type}/${part.subtype}`.slice(0, TYPE_LENGTH_MAX),
    sniffed,
    filename: filename === null ? null : filename.slice(0, FILENAME_LENGTH_MAX),
    sizeBytes: content.sizeBytes,
    sha256: content.sha256,
    marks,
  });
}

async function examine(context: StageContext): Promise<StageResult> {
  const raw = new RawMessage(context);
  const found = leaves(await raw.structure());
  const findings = new Findings();
  for (const leaf of found.slice(0, PARTS_LISTED_MAX)) await examinePart(raw, leaf, findings);
  // the contents of more parts than anyone sends are not looked at, their names are
  for (const { part } of found.slice(PARTS_LISTED_MAX)) {
    const filename = partFilename(part);
    if (filename !== null) findings.addReasons(judgeAttachment(filename, null, new Uint8Array()).reasons);
  }
  const { parts, split, reasons } = findings;
  const facts: AttachmentFacts = { parts, partsTotal: found.length, split, skeleton: await raw.skeleton(split) };
  const result = reasons.length > 0 ? 'suspicious' : split.length > 0 ? 'split' : 'clean';
  return { result, score: null, reasons, version: VERSION, headers: [], facts: { ...facts } };
}

export const makeAttachmentsStage = (): StageHandler => examine;
