/**
 * The mail store: accounts' mailboxes, messages and their history. `commit` is the only way to write them; it is called
 * by the mailbox actor that holds the account's lease. The account is the unit of serialization and of modSeq.
 */

import type { FlagSet, StoreMode } from '../mail/flags.ts';
import type { AccountId, BlobRef, ContentId, MailboxId, ModSeq, Uid } from '../mail/ids.ts';
import type { Layout } from '../mail/layout.ts';
import type { Damage } from './blob-store.ts';

/** Special use of a mailbox, RFC 6154 §2 (without \All and \Flagged, which are views). */
export type Role = 'inbox' | 'drafts' | 'sent' | 'junk' | 'trash' | 'archive';

export interface Mailbox {
  readonly id: MailboxId;
  /** UTF-8, levels separated by `/`, in NFC. The inbox is always `INBOX`. Unique within the account (byte equality). */
  readonly name: string;
  readonly role: Role | null;
  readonly uidValidity: number;
  readonly uidNext: Uid;
  /** Highest modSeq of any change in it, expunges included (HIGHESTMODSEQ, RFC 7162 §3.1.2.1). */
  readonly modSeq: ModSeq;
  readonly total: number;
  readonly unseen: number;
  readonly deleted: number;
  readonly bytes: number;
  /** Messages with this uid or above have been shown as \Recent to nobody yet. */
  readonly recentUid: Uid;
}

export interface AccountState {
  readonly account: AccountId;
  readonly modSeq: ModSeq;
  /** Changes with a modSeq at or below this can't be told apart any more (history floor). */
  readonly floor: ModSeq;
  readonly usedBytes: number;
  readonly usedMessages: number;
  /** null: no limit. */
  readonly quotaBytes: number | null;
  readonly quotaMessages: number | null;
}

/** What is kept about a message's content, computed by core/mime before the commit. */
export interface ContentInput {
  readonly layout: Layout;
  /** RFC822.SIZE: equals the layout's size. */
  readonly size: number;
  /** ENVELOPE as it is sent, parentheses included (RFC 9051 §7.5.2). */
  readonly envelope: Uint8Array;
  /** BODYSTRUCTURE (extended form) as it is sent. */
  readonly bodystructure: Uint8Array;
  /** core/mime's encoded index of byte offsets. */
  readonly structure: Uint8Array;
  /** The Message-ID with its brackets, or ''. */
  readonly messageId: string;
  /** Sent date in seconds since 1970 from the Date field (for SENTBEFORE …), or null. */
  readonly sentAt: number | null;
  /** The queue id it was delivered under, or '' (APPEND, import). */
  readonly origin: string;
}

/** A stored content; which fields are present is the caller's choice (see `contents`). */
export interface Content extends ContentInput {
  readonly id: ContentId;
}
export type ContentField = keyof ContentInput;

export type Op =
  | {
      readonly t: 'append';
      readonly mailbox: MailboxId;
      readonly content: ContentInput | { readonly ref: ContentId };
      readonly flags: FlagSet;
      /** INTERNALDATE, seconds since 1970. */
      readonly internalDate: number;
      /** Makes the append idempotent for 7 days: the same key again returns the first result and changes nothing. */
      readonly dedupe?: string;
      readonly quota: 'enforce' | 'ignore';
    }
  | {
      readonly t: 'store';
      readonly mailbox: MailboxId;
      readonly uids: Uint32Array;
      readonly mode: StoreMode;
      readonly flags: FlagSet;
      /** Messages with a higher modSeq are left alone and listed as `modified` (RFC 7162 §3.1.3). */
      readonly unchangedSince?: ModSeq;
    }
  | { readonly t: 'copy' | 'move'; readonly from: MailboxId; readonly uids: Uint32Array; readonly to: MailboxId }
  | {
      readonly t: 'expunge';
      readonly mailbox: MailboxId;
      /** null: every message. */
      readonly uids: Uint32Array | null;
      /** Only those with \Deleted. */
      readonly onlyDeleted: boolean;
    }
  /** The id is chosen by the caller, so that later operations of the same commit can name it. */
  | { readonly t: 'createMailbox'; readonly id: MailboxId; readonly name: string; readonly role: Role | null }
  /** Renames or gives another role; children are renamed by operations of their own in the same commit. */
  | { readonly t: 'updateMailbox'; readonly mailbox: MailboxId; readonly name?: string; readonly role?: Role | null }
  /** With its messages. */
  | { readonly t: 'deleteMailbox'; readonly mailbox: MailboxId }
  /** A name need not exist to be subscribed (RFC 9051 §6.3.7). */
  | { readonly t: 'subscribe'; readonly name: string; readonly subscribed: boolean }
  /** Takes the \Recent messages for one session: returns the former recentUid. Bumps no modSeq. */
  | { readonly t: 'claimRecent'; readonly mailbox: MailboxId }
  /** Written with the change that it follows from; read by `outbox`. The same topic and key again changes nothing. */
  | { readonly t: 'outbox'; readonly topic: OutboxTopic; readonly key: string; readonly payload: unknown };

export type OutboxTopic = 'feedback';

/** Why one operation had no effect; the others of the commit stand. */
export type SoftFailure = 'quota' | 'noSuchMailbox' | 'noSuchContent' | 'mailboxExists' | 'uidsExhausted';

export type OpResult =
  | { readonly ok: false; readonly why: SoftFailure }
  | {
      readonly ok: true;
      readonly t: 'append';
      readonly uid: Uid;
      readonly uidValidity: number;
      readonly content: ContentId;
      /** The dedupe key was known: this is the first result. */
      readonly duplicate: boolean;
    }
  | {
      readonly ok: true;
      readonly t: 'store';
      /** Messages that exist and were not refused, with their flags now; modSeq is the old one where nothing changed. */
      readonly stored: readonly { readonly uid: Uid; readonly flags: FlagSet; readonly modSeq: ModSeq }[];
      /** UNCHANGEDSINCE losers, ascending. */
      readonly modified: Uint32Array;
    }
  | {
      readonly ok: true;
      readonly t: 'copy' | 'move';
      readonly uidValidity: number;
      /** Source and new uids, pairwise, source ascending; empty when no uid existed. */
      readonly from: Uint32Array;
      readonly to: Uint32Array;
    }
  | { readonly ok: true; readonly t: 'expunge'; readonly uids: Uint32Array }
  | { readonly ok: true; readonly t: 'createMailbox'; readonly mailbox: MailboxId; readonly uidValidity: number }
  | { readonly ok: true; readonly t: 'updateMailbox' | 'deleteMailbox' | 'subscribe' | 'outbox' }
  | { readonly ok: true; readonly t: 'claimRecent'; readonly recentUid: Uid };

export interface CommitResult {
  /** The account's modSeq after the commit; unchanged when nothing took effect. */
  readonly modSeq: ModSeq;
  /** One for each operation, in order. */
  readonly results: readonly OpResult[];
}

/** A mailbox's messages as packed columns, uid ascending; row i of each array is one message. */
export interface Columns {
  readonly mailbox: Mailbox;
  /** The account's modSeq that this is a picture of: `changes` from here brings it up to date. */
  readonly upTo: ModSeq;
  readonly uids: Uint32Array;
  /** Index into `flagSets`. */
  readonly flags: Uint32Array;
  readonly flagSets: readonly FlagSet[];
  readonly modSeqs: Float64Array;
  /** INTERNALDATE, seconds since 1970. */
  readonly dates: Float64Array;
  readonly sizes: Uint32Array;
  readonly contents: Float64Array;
}

export interface Row {
  readonly mailbox: MailboxId;
  readonly uid: Uid;
  readonly flags: FlagSet;
  readonly modSeq: ModSeq;
  /** The modSeq at which it appeared in this mailbox. */
  readonly created: ModSeq;
  readonly internalDate: number;
  readonly size: number;
  readonly content: ContentId;
}

export interface Changes {
  /** Ask again from here. Below the account's modSeq when `limit` cut the answer. */
  readonly upTo: ModSeq;
  /** `limit` cut the answer: there was more behind `upTo` when it was made. */
  readonly more: boolean;
  /** Rows with since < modSeq ≤ upTo that exist, as they are now. */
  readonly changed: readonly Row[];
  /** Expunged with since < modSeq ≤ upTo. */
  readonly vanished: readonly { readonly mailbox: MailboxId; readonly uid: Uid; readonly modSeq: ModSeq }[];
  /** `since` lies below the history floor: the answer can't be complete; read everything anew. */
  readonly tooOld: boolean;
}

export interface OutboxEntry {
  readonly id: number;
  readonly account: AccountId;
  readonly topic: OutboxTopic;
  readonly key: string;
  readonly payload: unknown;
  readonly modSeq: ModSeq;
}

export interface Lease {
  /** Ascending over owners; every commit carries it. */
  readonly epoch: number;
  /** Milliseconds since 1970 by the store's clock. */
  readonly until: number;
}

export interface LeaseHolder {
  readonly owner: string;
  readonly leftMs: number;
}

export interface MailStoreStats {
  readonly accounts: number;
  readonly messages: number;
  /** Bytes on the disk. */
  readonly stored: number;
}

/** What readers need: they may run on any node and hold no lease. */
export interface MailStoreReader {
  account(account: AccountId): Promise<AccountState | undefined>;
  /** By name in byte order, INBOX first. */
  mailboxes(account: AccountId): Promise<readonly Mailbox[]>;
  /** Names, in byte order. */
  subscriptions(account: AccountId): Promise<readonly string[]>;
  /** undefined where there is no such mailbox. */
  columns(account: AccountId, mailbox: MailboxId): Promise<Columns | undefined>;
  /** Those of the uids that exist, ascending. */
  rows(account: AccountId, mailbox: MailboxId, uids: Uint32Array): Promise<readonly Row[]>;
  /** Of one mailbox, or of all. At most about `limit` entries (whole modSeqs only), 10,000 when not given. */
  changes(account: AccountId, mailbox: MailboxId | null, since: ModSeq, limit?: number): Promise<Changes>;
  /** By id, in the order asked; undefined where gone. Only `fields` are filled in, the others are empty. */
  contents(
    account: AccountId,
    ids: readonly ContentId[],
    fields: readonly ContentField[],
  ): Promise<readonly (Content | undefined)[]>;
  /** Rows of messages with this Message-ID (with brackets), at most 100. */
  findByMessageId(account: AccountId, messageId: string): Promise<readonly Row[]>;
}

export interface MailStore extends MailStoreReader {
  /** Opens, migrates and recovers: whatever a crash interrupted is wholly there or wholly not. */
  open(): Promise<void>;
  close(): Promise<void>;

  /**
   * Makes an account with its first mailboxes (one of them INBOX). An account that is there already is left as it is.
   */
  createAccount(options: {
    readonly account: AccountId;
    readonly quotaBytes: number | null;
    readonly quotaMessages: number | null;
    readonly mailboxes: readonly { readonly id: MailboxId; readonly name: string; readonly role: Role | null }[];
  }): Promise<void>;
  setQuota(account: AccountId, quotaBytes: number | null, quotaMessages: number | null): Promise<void>;
  /** With everything in it. Idempotent. */
  deleteAccount(account: AccountId): Promise<void>;
  /** Ids in ascending order behind `cursor`. */
  accounts(cursor: AccountId | null, limit: number): Promise<readonly AccountId[]>;

  /**
   * Takes the account's lease: a free or expired one, or the owner's own (renewed with its epoch). undefined while
   * another owner holds it, unless that one is `gone`: then it is taken at once, under a new epoch. Whoever was wrongly
   * believed to be gone is Fenced. Time is the store's.
   */
  lease(account: AccountId, owner: string, ttlMs: number, gone?: string): Promise<Lease | undefined>;
  /** Gives it back early. Without effect when it is another's by now. */
  release(account: AccountId, owner: string): Promise<void>;
  /** Who holds the lease, and for how long still by the store's clock; undefined when nobody does. */
  holder(account: AccountId): Promise<LeaseHolder | undefined>;

  /**
   * Applies the operations in order as one change: all that take effect get one new modSeq (the account's + 1) and are
   * seen together. Soft failures do not abort the others; when nothing takes effect, nothing is bumped. Rejects with
   * Fenced, changing nothing, when `epoch` is not the account's newest. Resolved means it survives power loss, but for
   * commits that hold only `store` and `claimRecent` operations: those survive the process, and power loss after 1 s.
   * At most 1,000 operations.
   *
   * `request` names the commit for whoever may have to ask again because the answer was lost: when a commit of the same
   * name took effect within the last hour, under whatever epoch, its result is given again and nothing is changed.
   */
  commit(account: AccountId, epoch: number, ops: readonly Op[], request?: string): Promise<CommitResult>;

  /** Oldest first. */
  outbox(topic: OutboxTopic, limit: number): Promise<readonly OutboxEntry[]>;
  /** Takes entries out for good. */
  outboxDone(topic: OutboxTopic, entries: readonly OutboxEntry[]): Promise<void>;

  /** Which of these blobs any content refers to. */
  liveBlobs(refs: readonly BlobRef[]): Promise<ReadonlySet<BlobRef>>;
  /**
   * Within the time budget: contents that nothing refers to, tombstones over 30 days old beyond 100,000 a mailbox (the
   * floor rises), dedupe keys over 7 days old. True when there is more to do. Rejects, when it has done what it could, where something
   * could not be handled.
   */
  gc(now: number, budgetMs: number): Promise<boolean>;
  /** Recounts totals, quota, uidNext and references from the rows; checks the files. `repair` writes what it counted. */
  verify(repair: boolean): Promise<readonly Damage[]>;
  /** An online, consistent copy into an empty folder. */
  backup(destination: string): Promise<void>;
  stats(): Promise<MailStoreStats>;
}
