/**
 * The search store: an accelerator that can be thrown away and rebuilt. It only narrows: what it returns is a superset
 * of the matching contents it has indexed, and the searcher checks each candidate (and everything newer) on the message.
 */

import type { AccountId, ContentId, ModSeq } from '../mail/ids.ts';

export interface SearchDocument {
  readonly account: AccountId;
  readonly content: ContentId;
  /** Case-folded text of the header fields. */
  readonly header: string;
  /** Case-folded, decoded text of the text parts; at most 1 MiB, and `truncated` when there was more. */
  readonly body: string;
  readonly truncated: boolean;
}

export interface SearchStore {
  open(): Promise<void>;
  close(): Promise<void>;
  /** The account's modSeq up to which all contents are indexed; 0 for never. */
  mark(account: AccountId): Promise<ModSeq>;
  /** Adds documents (again: replaces) and raises marks, in one transaction. Power loss may undo the last calls. */
  index(
    documents: readonly SearchDocument[],
    marks: readonly { readonly account: AccountId; readonly mark: ModSeq }[],
  ): Promise<void>;
  remove(account: AccountId, contents: readonly ContentId[]): Promise<void>;
  removeAccount(account: AccountId): Promise<void>;
  /**
   * Contents of the account, indexed up to `mark`, whose header (or body, or either) may hold all of the case-folded
   * substrings, and those indexed truncated. null when the index can't narrow (needles under 3 characters).
   */
  candidates(
    account: AccountId,
    where: 'header' | 'body' | 'text',
    needles: readonly string[],
  ): Promise<{ readonly mark: ModSeq; readonly contents: ReadonlySet<ContentId> } | null>;
  stats(): Promise<{ readonly documents: number; readonly stored: number }>;
}
