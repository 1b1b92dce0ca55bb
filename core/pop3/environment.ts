/**
 * What the POP3 engine is given from outside: stores to read, one function to write with, the maildrops' locks, time,
 * randomness and limits. Everything that the engine does to the world goes through here.
 */

import type { MailboxHint, Subscribe } from '../mail/hints.ts';
import type { AccountId } from '../mail/ids.ts';
import type { RangeReader } from '../mail/layout.ts';
import type { CommitResult, MailStoreReader, Op } from '../ports/mail-store.ts';
import type { Authenticator } from '../sasl/authenticator.ts';
import type { OpenEnds } from './open-ends.ts';

export interface Pop3Config {
  /** Shown in the greeting. */
  readonly hostname: string;
  /** Shown in CAPA. */
  readonly version: string;
  /** Passwords without TLS; the configuration allows it on loopback only. */
  readonly insecureAuth: boolean;
  /** From the connection's start to the end of the login. */
  readonly loginTimeoutMs: number;
  /** Logged in: at least 10 minutes (RFC 1939 §3). */
  readonly idleTimeoutMs: number;
}

export interface Pop3Environment {
  readonly config: Pop3Config;
  readonly store: Pick<MailStoreReader, 'mailboxes' | 'columns' | 'rows' | 'contents'>;
  readonly blobs: RangeReader;
  /** Shared by all sessions of this process. */
  readonly openEnds: OpenEnds;
  readonly authenticator: Authenticator;
  /** Takes the account's maildrop for one session, and returns what gives it back; null while another one has it. */
  acquire(account: AccountId): (() => void) | null | Promise<(() => void) | null>;
  /** Writes through the account's mailbox actor. `session` lets the actor see who did it (feedback, logs). */
  commit(account: AccountId, ops: readonly Op[], session: string): Promise<CommitResult>;
  /** Hints of one account. */
  changes(account: AccountId): Subscribe<MailboxHint>;
  /** Resolves once other connections have had their turn. */
  breathe(): Promise<void>;
  /** Milliseconds since 1970. */
  now(): number;
  random(length: number): Uint8Array;
  /** One log line; never a password, a body or a token. */
  log(event: string, facts: Readonly<Record<string, unknown>>): void;
}
