/**
 * The custody record's immutable part: what is known when 250 is answered (or a message is refused). Everything later is
 * added beside it by the stages.
 */

import type { Client, Envelope } from './envelope.ts';
import type { BlobRef, QueueId } from './ids.ts';

/** Bytes [start, end) of the received message. */
export type Range = readonly [start: number, end: number];

export interface AcceptedMessage {
  readonly queueId: QueueId;
  /** Milliseconds since 1970 when DATA ended. */
  readonly acceptedAt: number;
  readonly envelope: Envelope;
  readonly client: Client;
  /** The message exactly as it was received (dot-unstuffed, RFC 5321 §4.5.2). */
  readonly blob: BlobRef;
  readonly size: number;
  /** Header fields of ours that go before it: Received, and for submissions a missing Date and Message-ID; with CRLFs. */
  readonly headers: string;
  /** Fields of the received header that are left out of the stored message (Return-Path, forged results), ascending. */
  readonly removed: readonly Range[];
  /** The Message-ID field's value with its brackets, or '' */
  readonly messageId: string;
  /** First characters of the decoded Subject, for operators' lists; at most 200. */
  readonly subject: string;
}

/** A message (or attempt at one) that was refused at RCPT or DATA: kept for traces only. */
export interface RefusedMessage {
  readonly queueId: QueueId;
  readonly refusedAt: number;
  readonly phase: 'MAIL' | 'RCPT' | 'DATA';
  readonly sender: string;
  /** The recipient refused, or all of the transaction's. */
  readonly recipients: readonly string[];
  readonly client: Client;
  /** The reply as it was sent. */
  readonly reply: string;
  readonly messageId: string;
  readonly size: number;
}
