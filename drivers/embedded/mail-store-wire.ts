/**
 * What passes between the mail store and its writer thread. Operations travel as they are, except that an append's
 * content is packed into one buffer (copying many small ones between threads is what costs); results come back with
 * STORE's answers in columns.
 */

import { hash } from 'node:crypto';
import type { FlagSet } from '../../core/mail/flags.ts';
import { type AccountId, type ModSeq, modSeq, type Uid, uid } from '../../core/mail/ids.ts';
import { encodeLayout, layoutBlobs } from '../../core/mail/layout.ts';
import type { CommitResult, ContentInput, Op, OpResult } from '../../core/ports/mail-store.ts';
import { type ReadyAppendOf, type ReadyOpOf, readyOpOf } from '../mail-store-ops.ts';

type StoreResult = Extract<OpResult, { t: 'store' }>;

export interface PackedContent {
  readonly size: number;
  readonly sentAt: number | null;
  readonly origin: string;
  readonly messageId: string;
  /** See `messageHash`; null for no Message-ID. */
  readonly hash: number | null;
  /** Envelope, layout, bodystructure and structure, then the blobs' hashes; `ends` are where the four end. */
  readonly bytes: Uint8Array;
  readonly ends: readonly [number, number, number, number];
}

export type SentAppend = ReadyAppendOf<PackedContent>;
export type SentOp = ReadyOpOf<PackedContent>;

export interface SentCommit {
  readonly account: AccountId;
  readonly epoch: number;
  /** Milliseconds since 1970. */
  readonly now: number;
  readonly ops: readonly SentOp[];
  readonly request?: string;
}

interface StoredColumns {
  readonly ok: true;
  readonly t: 'store';
  readonly uids: Uint32Array;
  /** Index into `sets`. */
  readonly flags: Uint32Array;
  readonly sets: readonly (readonly string[])[];
  readonly modSeqs: Float64Array;
  readonly modified: Uint32Array;
}
export type SentResult = Exclude<OpResult, StoreResult> | StoredColumns;
export interface SentCommitResult {
  readonly modSeq: number;
  readonly results: readonly SentResult[];
}

export const BLOB_HASH_BYTES = 32;

/** 48 bits of a Message-ID within its account; equal hashes are told apart by the text. */
export const messageHash = (account: AccountId, messageId: string): number =>
  hash('sha256', `${account} ${messageId}`, 'buffer').readUIntBE(0, 6);

function packContent(account: AccountId, content: ContentInput): PackedContent {
  const parts = [content.envelope, encodeLayout(content.layout), content.bodystructure, content.structure];
  const blobs = layoutBlobs(content.layout).map((ref) => Buffer.from(ref, 'hex'));
  const ends: number[] = [];
  let length = 0;
  for (const part of parts) {
    length += part.length;
    ends.push(length);
  }
  const bytes = new Uint8Array(length + blobs.length * BLOB_HASH_BYTES);
  let offset = 0;
  for (const part of [...parts, ...blobs]) {
    bytes.set(part, offset);
    offset += part.length;
  }
  return {
    size: content.size,
    sentAt: content.sentAt,
    origin: content.origin,
    messageId: content.messageId,
    hash: content.messageId === '' ? null : messageHash(account, content.messageId),
    bytes,
    ends: ends as [number, number, number, number],
  };
}

export const sentOp = (account: AccountId, op: Op): SentOp => readyOpOf(op, (content) => packContent(account, content));

function receivedResult(result: SentResult): OpResult {
  if (!result.ok || result.t !== 'store') return result;
  const sets = result.sets.map((names): FlagSet => Object.freeze([...names]));
  const stored: { uid: Uid; flags: FlagSet; modSeq: ModSeq }[] = [];
  for (let i = 0; i < result.uids.length; i++) {
    stored.push({
      uid: uid(result.uids[i]!),
      flags: sets[result.flags[i]!]!,
      modSeq: modSeq(result.modSeqs[i]!),
    });
  }
  return { ok: true, t: 'store', stored, modified: result.modified };
}

export const receivedCommit = (sent: SentCommitResult): CommitResult => ({
  modSeq: modSeq(sent.modSeq),
  results: sent.results.map(receivedResult),
});
