/**
 * What the IMAP engine is given from outside: stores to read, one function to write with, time, randomness and limits.
 * Everything that the engine does to the world goes through here.
 */

import type { MailboxHint, Subscribe } from '../mail/hints.ts';
import type { AccountId, MailboxId } from '../mail/ids.ts';
import type { BlobStore } from '../ports/blob-store.ts';
import type { CommitResult, MailStoreReader, Op } from '../ports/mail-store.ts';
import type { SearchStore } from '../ports/search-store.ts';
import type { Authenticator } from '../sasl/authenticator.ts';
import type { ColumnsCache } from './columns-cache.ts';

export interface ImapConfig {
  /** Shown in the greeting and in ID. */
  readonly hostname: string;
  readonly version: string;
  /** LOGIN and PLAIN without TLS. */
  readonly insecureAuth: boolean;
  readonly appendSizeBytesMax: number;
  /** Not logged in: RFC 9051 §5.4 lets this be short. */
  readonly loginTimeoutMs: number;
  /** Logged in: at least 30 minutes (RFC 9051 §5.4). */
  readonly idleTimeoutMs: number;
  readonly mailboxesMax: number;
}

export interface ImapEnvironment {
  readonly config: ImapConfig;
  readonly store: MailStoreReader;
  readonly blobs: BlobStore;
  /** Columns of mailboxes, shared by all sessions of this process. */
  readonly columns: ColumnsCache;
  readonly search: SearchStore;
  readonly authenticator: Authenticator;
  /** Writes through the account's mailbox actor. `session` lets the actor see who did it (feedback, logs). */
  commit(account: AccountId, ops: readonly Op[], session: string): Promise<CommitResult>;
  /** Hints of one account. */
  changes(account: AccountId): Subscribe<MailboxHint>;
  newMailboxId(): MailboxId;
  /** Milliseconds since 1970. */
  now(): number;
  random(length: number): Uint8Array;
  /** Resolves in another turn of the event loop: long work waits for it now and then, so that others are served. */
  turn(): Promise<void>;
  /** Resolves after that time, unless the process ends before. */
  sleep(ms: number): Promise<void>;
  /** One log line; never a password, a body or a token. */
  log(event: string, facts: Readonly<Record<string, unknown>>): void;
}
