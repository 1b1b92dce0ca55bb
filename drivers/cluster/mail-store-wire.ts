/**
 * Operations made ready before they are queued, and a commit's result as bytes, to be given again when the commit is
 * asked for again by its name.
 */

import { createHash } from 'node:crypto';
import { BSON } from 'mongodb';
import type { FlagSet } from '../../core/mail/flags.ts';
import { type ModSeq, modSeq, type Uid, uid } from '../../core/mail/ids.ts';
import { encodeLayout, layoutBlobs } from '../../core/mail/layout.ts';
import type { CommitResult, ContentInput, Op, OpResult } from '../../core/ports/mail-store.ts';
import { type ReadyAppendOf, type ReadyOpOf, readyOpOf } from '../mail-store-ops.ts';
import type { ContentDoc } from './mail-store-schema.ts';

/** A content to be stored. Once it is, it keeps its number over every new attempt at the commit. */
export interface NewContent {
  readonly doc: Omit<ContentDoc, '_id' | 'account' | 'number'>;
  readonly bytes: number;
  number: number | undefined;
  stored: boolean;
}
export type ReadyAppend = ReadyAppendOf<NewContent>;
export type ReadyOp = ReadyOpOf<NewContent>;

/** 48 bits of a Message-ID, never 0; equal hashes are told apart by the text. */
export const messageHash = (messageId: string): number =>
  messageId === '' ? 0 : Math.max(1, createHash('sha256').update(messageId).digest().readUIntBE(0, 6));

function newContent(content: ContentInput): NewContent {
  const layout = encodeLayout(content.layout);
  const { envelope, bodystructure, structure } = content;
  return {
    doc: {
      size: content.size,
      sentAt: content.sentAt,
      origin: content.origin,
      messageId: content.messageId,
      messageHash: messageHash(content.messageId),
      blobs: layoutBlobs(content.layout),
      layout,
      envelope: ownBytes(envelope),
      bodystructure: ownBytes(bodystructure),
      structure: ownBytes(structure),
      dying: false,
    },
    bytes: layout.length + envelope.length + bodystructure.length + structure.length,
    number: undefined,
    stored: false,
  };
}

/** As a Buffer, which the client takes without copying. */
const ownBytes = (bytes: Uint8Array): Uint8Array => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

export const readyOp = (op: Op): ReadyOp => readyOpOf(op, newContent);

const packed = (uids: Uint32Array): Buffer => Buffer.from(uids.buffer, uids.byteOffset, uids.byteLength);
function unpacked(bytes: Uint8Array): Uint32Array {
  const copy = new Uint8Array(bytes);
  return new Uint32Array(copy.buffer, 0, copy.length / 4);
}

type StoreResult = Extract<OpResult, { t: 'store' }>;

function packStore({ stored, modified }: StoreResult): object {
  const sets: FlagSet[] = [];
  const indexes = new Map<FlagSet, number>();
  const flags = new Uint32Array(stored.length);
  for (const [i, row] of stored.entries()) {
    const known = indexes.get(row.flags);
    flags[i] = known ?? sets.push(row.flags) - 1;
    if (known === undefined) indexes.set(row.flags, flags[i]!);
  }
  const modSeqs = Float64Array.from(stored, (row) => row.modSeq);
  return {
    ok: true,
    t: 'store',
    uids: packed(Uint32Array.from(stored, (row) => row.uid)),
    flags: packed(flags),
    sets,
    modSeqs: Buffer.from(modSeqs.buffer),
    modified: packed(modified),
  };
}

function packResult(result: OpResult): object {
  if (!result.ok) return result;
  if (result.t === 'store') return packStore(result);
  if (result.t === 'copy' || result.t === 'move')
    return { ...result, from: packed(result.from), to: packed(result.to) };
  if (result.t === 'expunge') return { ...result, uids: packed(result.uids) };
  return result;
}

type Packed = Record<string, unknown> & { ok: boolean; t?: OpResult extends { t: infer T } ? T : string };

function unpackResult(result: Packed): OpResult {
  const list = (name: string): Uint32Array => unpacked(result[name] as Uint8Array);
  if (!result.ok) return result as unknown as OpResult;
  switch (result.t) {
    case 'store': {
      const [uids, flags] = [list('uids'), list('flags')];
      const modSeqs = new Float64Array(new Uint8Array(result.modSeqs as Uint8Array).buffer);
      const sets = result.sets as FlagSet[];
      const stored: { uid: Uid; flags: FlagSet; modSeq: ModSeq }[] = [];
      for (let i = 0; i < uids.length; i++)
        stored.push({ uid: uid(uids[i]!), flags: sets[flags[i]!]!, modSeq: modSeq(modSeqs[i]!) });
      return { ok: true, t: 'store', stored, modified: list('modified') };
    }
    case 'copy':
    case 'move':
      return { ...result, from: list('from'), to: list('to') } as unknown as OpResult;
    case 'expunge':
      return { ...result, uids: list('uids') } as unknown as OpResult;
    default:
      return result as unknown as OpResult;
  }
}

/** Pieces of a commit's result: each fits well into a document. */
const PIECE_BYTES = 8 * 1024 * 1024;

/** The client's encoder has room for so much. */
const ENCODER_BYTES = 16 * 1024 * 1024;

export function toBson(document: object): Buffer {
  const size = BSON.calculateObjectSize(document);
  if (size > ENCODER_BYTES) BSON.setInternalBufferSize(size + ENCODER_BYTES);
  return Buffer.from(BSON.serialize(document));
}

export function encodeResult({ modSeq: at, results }: CommitResult): Buffer[] {
  const bytes = toBson({ modSeq: at, results: results.map(packResult) });
  return Array.from({ length: Math.ceil(bytes.length / PIECE_BYTES) }, (_, i) =>
    bytes.subarray(i * PIECE_BYTES, (i + 1) * PIECE_BYTES),
  );
}

export function decodeResult(pieces: readonly Uint8Array[]): CommitResult {
  const read = BSON.deserialize(pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces), { promoteBuffers: true });
  return { modSeq: modSeq(read.modSeq as number), results: (read.results as Packed[]).map(unpackResult) };
}
