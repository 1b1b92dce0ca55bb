/**
 * The sample store: what the learning loop remembers. Features are hashes, never text. Labels are an append-only log,
 * idempotent and undoable: a user's label can be withdrawn and a model rebuilt without it.
 */

import type { AccountId } from '../mail/ids.ts';
import type { Damage } from './blob-store.ts';

/** A message's features as they were when it was filtered. */
export interface SampleFeatures {
  /** Names the message within the loop: the queue id, or `account/content` for mail that came in another way. */
  readonly key: string;
  readonly schema: number;
  /** Encoded by core/spam: hashes by group, dense signals, reputation keys. */
  readonly features: Uint8Array;
  /** Milliseconds since 1970. */
  readonly at: number;
}

export type LabelSource = 'move' | 'keyword' | 'api' | 'audit';

export interface Label {
  /** Makes the event idempotent: the same key again changes nothing. */
  readonly key: string;
  readonly account: AccountId;
  /** Key of the features. */
  readonly sample: string;
  /** withdrawn: the user undid the label before. */
  readonly label: 'spam' | 'ham' | 'withdrawn';
  readonly source: LabelSource;
  /** Organisational domain (or address) of the sender, hashed, for per-user offsets and caps. */
  readonly sender: string;
  /** The verdict that the user corrected or confirmed. */
  readonly previous: 'spam' | 'ham' | 'none';
  readonly score: number | null;
  readonly model: string;
  readonly schema: number;
  readonly weight: number;
  /** Milliseconds since 1970. */
  readonly at: number;
}

export interface StoredLabel extends Label {
  /** Ascending place in the log. */
  readonly seq: number;
}

/** A label in force with its features: what a trainer reads. */
export interface Sample extends StoredLabel {
  readonly features: Uint8Array;
}

export interface SampleStore {
  open(): Promise<void>;
  close(): Promise<void>;
  /** Keeps features of a filtered message. Power loss may undo it. The same key again changes nothing. */
  remember(sample: SampleFeatures): Promise<void>;
  features(key: string): Promise<SampleFeatures | undefined>;
  /** Features that no label was ever given for, newest first. */
  unlabelled(limit: number): Promise<readonly SampleFeatures[]>;
  /** Appends labels. Resolved means they survive power loss. Known keys are skipped. The number appended. */
  append(labels: readonly Label[]): Promise<number>;
  /** The newest label of (account, sample), withdrawn ones included. */
  newest(account: AccountId, sample: string): Promise<StoredLabel | undefined>;
  /** The log behind `after`, oldest first, all users or one. */
  labels(options: {
    readonly after: number;
    readonly limit: number;
    readonly account?: AccountId;
  }): Promise<readonly StoredLabel[]>;
  /** Labels in force (the newest of each account and sample, not withdrawn) behind `after` with features, oldest first. */
  samples(after: number, limit: number): Promise<readonly Sample[]>;
  /** Spam and ham labels in force of one user about one sender. */
  counts(account: AccountId, sender: string): Promise<{ readonly spam: number; readonly ham: number }>;
  /** Takes every label of a user out of the log. The number. */
  forgetUser(account: AccountId): Promise<number>;
  /** Drops features without labels older than the time. The number. */
  forget(olderThan: number, limit: number): Promise<number>;
  stats(): Promise<{
    readonly features: number;
    readonly labels: number;
    readonly lastSeq: number;
    readonly stored: number;
  }>;
  /** What is broken; nothing is repaired. */
  verify(): Promise<readonly Damage[]>;
  backup(destination: string): Promise<void>;
}
