/**
 * The collections of the mail store and how their documents are named. An account's key (its id and a random tail, so
 * that an account made again under its id is another one) begins the _id of everything in it: what belongs together lies
 * together, and one range of _ids is all of it.
 */

import { createHash, randomBytes } from 'node:crypto';
import type { FlagSet } from '../../core/mail/flags.ts';
import { type AccountId, accountId, base32, type MailboxId, mailboxId } from '../../core/mail/ids.ts';
import type { OutboxTopic, Role } from '../../core/ports/mail-store.ts';
import type { Mongo } from './mongo.ts';
import type { Collection } from './mongo-collection.ts';
import type { Identified, Shard } from './mongo-types.ts';

const DAY_MS = 24 * 3600_000;
export const TOMBSTONE_AGE_MS = 30 * DAY_MS;
export const RECEIPT_AGE_MS = 7 * DAY_MS;
export const REQUEST_AGE_MS = 3600_000;
/**
 * What was done away with is remembered for so long, for writes of a node that stood still meanwhile; and so long after an
 * account was leased or written the collector looks after what its owner may have left.
 */
export const AFTERLIFE_MS = 24 * 3600_000;
/** A time that never comes, for `due`. */
export const NEVER = Number.MAX_SAFE_INTEGER;
/** Whether a mailbox has tombstones to drop takes a look at all of it, so that much lies between two looks. */
export const SWEEP_EACH_MS = DAY_MS;

/** What one commit changed, in the shape it is stored in. See mail-store-log.ts. */
export interface LogPart {
  readonly rows: readonly {
    readonly mailbox: string;
    readonly sets: readonly FlagSet[];
    readonly packed: Uint8Array;
  }[];
  readonly mailboxes: readonly MailboxState[];
  readonly subscriptions: readonly { readonly name: string; readonly on: boolean }[];
  readonly receipts: readonly Receipt[];
  readonly outbox: readonly OutboxItem[];
  readonly dying: readonly number[];
}

export interface LogEntry {
  readonly m: number;
  /** Milliseconds since 1970: when the collector should see to it that the entry is carried out. */
  readonly due: number;
  /** Absent where the parts lie in `commits`, as `parts` documents named by `spill`. */
  readonly part?: LogPart;
  readonly spill?: string;
  readonly parts?: number;
}

export interface AccountDoc extends Identified {
  readonly key: string;
  /** Counts the changes that others than the owner make; a commit that did not know of one is evaluated anew. */
  readonly rev: number;
  readonly epoch: number;
  readonly owner: string | null;
  readonly until: number;
  readonly modSeq: number;
  /** Everything up to this modSeq has been carried out in the other collections. */
  readonly applied: number;
  readonly floor: number;
  readonly usedBytes: number;
  readonly usedMessages: number;
  readonly quotaBytes: number | null;
  readonly quotaMessages: number | null;
  readonly uidValidity: number;
  readonly lastContent: number;
  /** When the collector looks after it: the earliest `due` of the log, and within AFTERLIFE_MS where it is leased. */
  readonly due: number;
  /** The last commits, at least all above `applied`, ascending. */
  readonly log: readonly LogEntry[];
}

/** A mailbox as a commit leaves it; `name` is null while a deleted one is remembered for its vanished uids. */
export interface MailboxState {
  readonly id: MailboxId;
  readonly name: string | null;
  readonly role: Role | null;
  readonly uidValidity: number;
  readonly uidNext: number;
  readonly modSeq: number;
  readonly total: number;
  readonly unseen: number;
  readonly deleted: number;
  readonly bytes: number;
  readonly recentUid: number;
  /** How many messages were ever expunged from it. */
  readonly buried: number;
}

export interface MailboxDoc extends Identified, MailboxState {
  readonly account: string;
  /** The modSeq of the commit that it is a picture of. */
  readonly version: number;
  /** Vanished uids at or below were forgotten. */
  readonly floor: number;
  /** A deleted mailbox with nothing left to remember: its id may be given again. */
  readonly free: boolean;
}

export interface MessageDoc extends Identified {
  readonly account: string;
  /** The _id of its mailbox. */
  readonly mailbox: string;
  readonly uid: number;
  readonly flags: FlagSet;
  readonly modSeq: number;
  readonly created: number;
  /** INTERNALDATE; in a tombstone the time of the expunge. Seconds since 1970. */
  readonly date: number;
  readonly size: number;
  /** 0 in a tombstone. */
  readonly content: number;
}

export interface ContentDoc extends Identified {
  readonly account: string;
  readonly number: number;
  readonly size: number;
  readonly sentAt: number | null;
  readonly origin: string;
  readonly messageId: string;
  /** See `messageHash`; 0 for no Message-ID. */
  readonly messageHash: number;
  readonly blobs: readonly string[];
  readonly layout: Uint8Array;
  readonly envelope: Uint8Array;
  readonly bodystructure: Uint8Array;
  readonly structure: Uint8Array;
  /**
   * Found without a message and about to be deleted by the collector that gave itself this name for it: nothing may begin
   * to refer to it. False for any other.
   */
  readonly dying: string | false;
}

/** The first result of a delivery, or of a commit with a name. */
export interface Receipt {
  readonly id: string;
  readonly due: number;
  readonly uid?: number;
  readonly uidValidity?: number;
  readonly content?: number;
  /** One of several pieces of a commit's result, see mail-store-wire.ts. */
  readonly result?: Uint8Array;
  readonly pieces?: number;
}
export interface ReceiptDoc extends Identified, Omit<Receipt, 'id'> {
  readonly modSeq: number;
}

interface SubscriptionDoc extends Identified {
  readonly name: string;
  readonly on: boolean;
  readonly modSeq: number;
}

export interface OutboxItem {
  readonly id: string;
  readonly number: number;
  readonly topic: OutboxTopic;
  readonly key: string;
  readonly payload: string;
}
interface OutboxDoc extends Identified, Omit<OutboxItem, 'id'> {
  /** The account's id, not its key. */
  readonly account: string;
  readonly modSeq: number;
  /** The topic until it is done, then ''. */
  readonly pending: OutboxTopic | '';
  readonly at: number;
}

/** A content that may have lost its last message. Its _id is the content's, or begins with it and a dot. */
export interface DyingDoc extends Identified {
  readonly account: string;
  readonly number: number;
  readonly modSeq: number;
}
/** A mailbox whose vanished uids the collector should look at. */
export interface SweepDoc extends Identified {
  readonly account: string;
  readonly due: number;
}
interface PurgeDoc extends Identified {
  readonly account: string;
  readonly at: number;
}
export interface CommitDoc extends Identified, LogPart {
  readonly account: string;
  readonly at: number;
}

/** All of the mail store's collections. */
export interface MailTables {
  readonly accounts: Collection<AccountDoc>;
  readonly mailboxes: Collection<MailboxDoc>;
  readonly messages: Collection<MessageDoc>;
  readonly contents: Collection<ContentDoc>;
  readonly receipts: Collection<ReceiptDoc>;
  readonly subscriptions: Collection<SubscriptionDoc>;
  readonly outbox: Collection<OutboxDoc>;
  readonly dying: Collection<DyingDoc>;
  readonly sweeps: Collection<SweepDoc>;
  readonly purges: Collection<PurgeDoc>;
  readonly commits: Collection<CommitDoc>;
  /** How many vanished uids a mailbox remembers at least. */
  readonly tombstonesKept: number;
}

/** Those whose documents are named by the account's key. */
export const ACCOUNT_TABLES = [
  'messages',
  'mailboxes',
  'contents',
  'receipts',
  'subscriptions',
  'outbox',
  'dying',
  'sweeps',
  'commits',
] as const satisfies readonly (keyof MailTables)[];

export const mailTables = (mongo: Mongo, tombstonesKept = 100_000): MailTables => ({
  tombstonesKept,
  accounts: mongo.collection('accounts'),
  mailboxes: mongo.collection('mailboxes'),
  messages: mongo.collection('messages'),
  contents: mongo.collection('contents'),
  receipts: mongo.collection('receipts'),
  subscriptions: mongo.collection('subscriptions'),
  outbox: mongo.collection('outbox'),
  dying: mongo.collection('dying'),
  sweeps: mongo.collection('sweeps'),
  purges: mongo.collection('purges'),
  commits: mongo.collection('commits'),
});

const BY_MODSEQ = { mailbox: 1, modSeq: 1 } as const;
const BY_CONTENT = { account: 1, content: 1 } as const;
const BY_MESSAGE_ID = { account: 1, messageHash: 1 } as const;

/** Of what is asked by modSeq: a mailbox, or an account by its key. */
export const byModSeq = (prefix: string): Shard<MessageDoc> => ({ ids: under(prefix), index: BY_MODSEQ });
/** Of what is asked of an account by contents. */
export const byContent = (key: string): Shard<MessageDoc> => ({ ids: under(key), index: BY_CONTENT });
export const byMessageId = (key: string): Shard<ContentDoc> => ({ ids: under(key), index: BY_MESSAGE_ID });

/** Idempotent, and safe when many nodes start at once. */
export async function createIndexes(tables: MailTables): Promise<void> {
  await Promise.all([
    tables.accounts.createIndex({ due: 1 }),
    tables.messages.createIndex(BY_MODSEQ),
    tables.messages.createIndex(BY_CONTENT),
    tables.contents.createIndex(BY_MESSAGE_ID),
    tables.contents.createIndex({ blobs: 1 }),
    tables.receipts.createIndex({ due: 1 }),
    tables.outbox.createIndex({ pending: 1, number: 1 }),
    tables.sweeps.createIndex({ due: 1 }),
    tables.commits.createIndex({ at: 1 }),
  ]);
}

const base36 = (value: number, length: number): string => value.toString(36).padStart(length, '0');
const hashed = (text: string): string => createHash('sha256').update(text).digest('base64url').slice(0, 27);

/** Random characters behind the account's id in its key. */
const TAIL = 4;
export const newKey = (account: AccountId): string => account + base32(randomBytes(TAIL));
export const accountOf = (key: string): AccountId => accountId(key.slice(0, -TAIL));

export const mailboxRef = (key: string, mailbox: string): string => `${key}.${mailbox}`;
export const messageRef = (key: string, mailbox: string, uid: number): string => `${key}.${mailbox}.${base36(uid, 7)}`;
/** Few are named one by one, and so are those that lie far apart; of the others the range is read. */
const FEW = 20;
const SPREAD = 3;
/** Named in one request. */
const NAMED = 500;
/** Read by their range in one request: each looks for its range anew, and some servers look at everything for that. */
const RANGED = 4000;

const liesClose = (uids: Uint32Array): boolean =>
  uids.length > FEW && uids[uids.length - 1]! - uids[0]! < uids.length * SPREAD;

/**
 * Conditions on the _ids of messages, a request each, that all of these meet, and perhaps some between them.
 * @param uids ascending
 */
export function* messageRefs(key: string, mailbox: string, uids: Uint32Array) {
  const ref = (uid: number): string => messageRef(key, mailbox, uid);
  for (let at = 0; at < uids.length; ) {
    const far = uids.subarray(at, at + RANGED);
    const some = liesClose(far) ? far : uids.subarray(at, at + NAMED);
    yield liesClose(some) ? { $gte: ref(some[0]!), $lte: ref(some[some.length - 1]!) } : { $in: Array.from(some, ref) };
    at += some.length;
  }
}
export const contentRef = (key: string, number: number): string => `${key}.${base36(number, 11)}`;
export const deliveryRef = (key: string, dedupe: string): string => `${key}.d${hashed(dedupe)}`;
export const requestRef = (key: string, request: string): string => `${key}.r${hashed(request)}`;
export const subscriptionRef = (key: string, name: string): string => `${key}.${hashed(name)}`;
export const outboxRef = (key: string, topic: string, name: string): string => `${key}.${topic}.${hashed(name)}`;
/** The mailbox's id within its _id. */
export const mailboxOf = (key: string, ref: string): MailboxId => mailboxId(ref.slice(key.length + 1));

/** All _ids that begin so and go on behind a dot. */
export const under = (prefix: string): { readonly $gte: string; readonly $lt: string } => ({
  $gte: `${prefix}.`,
  $lt: `${prefix}/`,
});
