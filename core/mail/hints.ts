/**
 * Hints: what one room tells the others so that they need not ask. Losing one may delay, never lose
 * (each receiver also asks by itself at the next occasion).
 */

import type { AccountId, MailboxId, ModSeq } from './ids.ts';

/** Something of an account was committed. */
export interface MailboxHint {
  readonly account: AccountId;
  /** The account's modSeq after the commit. */
  readonly modSeq: ModSeq;
  /** Mailboxes whose messages changed; empty when only the list of mailboxes did. */
  readonly mailboxes: readonly MailboxId[];
  /** Mailboxes were created, deleted, renamed or (un)subscribed. */
  readonly listChanged: boolean;
}

/** Takes a listener and returns the function that takes it away again. */
export type Subscribe<T> = (listener: (hint: T) => void) => () => void;
