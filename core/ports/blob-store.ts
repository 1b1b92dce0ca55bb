/**
 * The blob store: immutable bytes named by their SHA-256. A blob lives while the mail store or the queue refers to it,
 * and at least `graceMs` (24 h) after it was put or touched, so a put need not be one transaction with the reference.
 */

import type { BlobRef } from '../mail/ids.ts';
import type { RangeReader } from '../mail/layout.ts';

export interface BlobInfo {
  readonly ref: BlobRef;
  readonly size: number;
}

export interface BlobWriter {
  /** Takes a piece; resolves when more is welcome (backpressure). The bytes may be reused once it has resolved. */
  write(bytes: Uint8Array): Promise<void>;
  /** Resolves when the bytes survive power loss. Putting bytes that are there already only touches them. */
  commit(): Promise<BlobInfo>;
  /** Forgets what was written. Idempotent, also after commit (then without effect). */
  abort(): Promise<void>;
}

export interface BlobStats {
  readonly count: number;
  /** Bytes of all blobs as they were put. */
  readonly bytes: number;
  /** Bytes taken on the disk. */
  readonly stored: number;
}

export interface Damage {
  /** What is broken, in words for the operator: a file, a blob, a table. */
  readonly what: string;
  readonly detail: string;
  readonly repaired: boolean;
}

export interface BlobStore extends RangeReader {
  /** Opens and recovers: what a crash left half written is dropped, what was committed is there. */
  open(): Promise<void>;
  close(): Promise<void>;

  /** A writer for one blob of any length, never held in memory whole beyond 1 MiB. */
  writer(): BlobWriter;
  /** Puts bytes that are in memory. Resolves when they survive power loss. */
  put(bytes: Uint8Array): Promise<BlobInfo>;
  /** The size, or undefined where there is no such blob. */
  stat(ref: BlobRef): Promise<BlobInfo | undefined>;
  /** Bytes [start, end). Rejects with a Fault when the blob is missing, cut short or does not match its checksum. */
  read(ref: BlobRef, start: number, end: number): Promise<Uint8Array>;

  /**
   * Two-phase collection within a time budget: blobs older than `graceMs` that `isLive` does not claim are marked dying;
   * those marked by an earlier call, asked for again and still not claimed, are deleted. A put or touch revives.
   * @returns how many blobs and stored bytes were given back
   */
  collect(options: {
    readonly now: number;
    readonly graceMs: number;
    readonly budgetMs: number;
    /** Which of these are referred to. */
    readonly isLive: (refs: readonly BlobRef[]) => Promise<ReadonlySet<BlobRef>>;
  }): Promise<{ readonly blobs: number; readonly bytes: number }>;

  /** Reads everything and compares with the checksums; `repair` drops index entries whose bytes are gone. */
  verify(repair: boolean): Promise<readonly Damage[]>;
  /** An online copy into an empty folder: every blob committed before the call is in it. */
  backup(destination: string): Promise<void>;
  stats(): Promise<BlobStats>;
}
