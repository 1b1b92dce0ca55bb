/**
 * The mail store of a cluster, on MongoDB, by single-document writes alone. An account's document holds its state and the
 * log of its last commits; one compare-and-set of it is the commit point of everything in a commit, whatever its size.
 * The effects are carried out in the other collections afterwards, in larger lots, by anyone and as often as it happens:
 * they are guarded by their modSeq. Readers lay the open part of the log over what those collections hold.
 *
 * What a crash leaves: before the commit point, contents (and parts of a large commit) that nothing refers to, whose
 * numbers the next commits find taken and pass over to the collector, which finds them by itself a day later where there
 * is no next commit; behind it, a log that the next owner, every reader and the collector know how to read. So there is no
 * recovery to wait for. A deposed owner fails at its commit point
 * (epoch, modSeq and rev are compared), and what it still carries out is what was committed anyway.
 */

import { asMailError, ClientError } from '../../core/mail/errors.ts';
import type { AccountId, BlobRef, ContentId, MailboxId, ModSeq } from '../../core/mail/ids.ts';
import type { Damage } from '../../core/ports/blob-store.ts';
import type {
  AccountState,
  Changes,
  Columns,
  CommitResult,
  Content,
  ContentField,
  Lease,
  LeaseHolder,
  Mailbox,
  MailStore,
  MailStoreStats,
  Op,
  OutboxEntry,
  OutboxTopic,
  Row,
} from '../../core/ports/mail-store.ts';
import { readBackup, writeBackup } from './mail-store-backup.ts';
import { readChanges } from './mail-store-changes.ts';
import { newMailbox, nextUidValidity } from './mail-store-commit.ts';
import { Collector } from './mail-store-gc.ts';
import { outboxDone, readAccounts, readLiveBlobs, readOutbox, sumAccounts } from './mail-store-lists.ts';
import { Effects, encodeEntry } from './mail-store-log.ts';
import { MailReader } from './mail-store-reader.ts';
import { AFTERLIFE_MS, createIndexes, type MailTables, mailTables, newKey } from './mail-store-schema.ts';
import { verifyAccount } from './mail-store-verify.ts';
import { readyOp } from './mail-store-wire.ts';
import { AccountWriter, type WriterContext } from './mail-store-writer.ts';
import type { Mongo } from './mongo.ts';
import type { Expression } from './mongo-types.ts';
import { SlowSums } from './slow-sums.ts';

const OPS_MAX = 1000;
const CHANGES_LIMIT = 10_000;
/** Accounts whose state is kept in memory between commits. */
const WRITERS_MAX = 2000;
const ACCOUNTS_PAGE = 100;

/** One account that cannot be read keeps no other from being looked at. */
const unreadable =
  (account: AccountId) =>
  (error: unknown): Damage[] => {
    const { message, facts } = asMailError(error);
    return [{ what: `account ${account}`, detail: `not verified: ${facts.detail ?? message}`, repaired: false }];
  };

export class ClusterMailStore implements MailStore {
  readonly #mongo: Mongo;
  readonly #tables: MailTables;
  readonly #reader: MailReader;
  readonly #collector: Collector;
  readonly #sums = new SlowSums(() => sumAccounts(this.#tables));
  readonly #now: (() => number) | undefined;
  readonly #context: WriterContext;
  readonly #writers = new Map<AccountId, AccountWriter>();
  /** The store's time when it was last asked, and the process's own clock then. */
  #clock = { store: 0, at: 0 };
  #lastOutbox = 0;

  /** `now` and `tombstonesKept` are for tests: times are the server's, and 100,000 vanished uids a mailbox are kept. */
  constructor(options: { readonly mongo: Mongo; readonly now?: () => number; readonly tombstonesKept?: number }) {
    this.#mongo = options.mongo;
    this.#now = options.now;
    this.#tables = mailTables(options.mongo, options.tombstonesKept);
    this.#reader = new MailReader(this.#tables);
    this.#collector = new Collector(this.#tables, (account) => this.#writers.get(account)?.forget());
    this.#context = {
      tables: this.#tables,
      now: () => this.#time(),
      outboxNumber: () => {
        this.#lastOutbox = Math.max(this.#lastOutbox + 1, this.#time() * 4096);
        return this.#lastOutbox;
      },
    };
  }

  async open(): Promise<void> {
    this.#heard(await this.#mongo.now());
    await createIndexes(this.#tables);
  }

  async close(): Promise<void> {
    const writers = [...this.#writers.values()];
    this.#writers.clear();
    await Promise.all(writers.map((writer) => writer.settled()));
  }

  #heard(store: number): void {
    this.#clock = { store, at: performance.now() };
  }

  /** Milliseconds since 1970 by the server's clock, whatever this node's says. */
  #time(): number {
    if (this.#now !== undefined) return this.#now();
    return Math.floor(this.#clock.store + performance.now() - this.#clock.at);
  }

  /** The time of an update, for the server to fill in. */
  #timeExpression(): Expression {
    return this.#now === undefined ? { $toLong: '$$NOW' } : this.#now();
  }

  #writer(account: AccountId): AccountWriter {
    let writer = this.#writers.get(account);
    if (writer === undefined) {
      writer = new AccountWriter(this.#context, account);
      if (this.#writers.size >= WRITERS_MAX) this.#evict();
    } else this.#writers.delete(account);
    this.#writers.set(account, writer);
    return writer;
  }

  /** The one that was not used for the longest time and is not at work. */
  #evict(): void {
    for (const [account, writer] of this.#writers) {
      if (!writer.idle) continue;
      this.#writers.delete(account);
      return;
    }
  }

  account(account: AccountId): Promise<AccountState | undefined> {
    return this.#reader.account(account);
  }

  mailboxes(account: AccountId): Promise<readonly Mailbox[]> {
    return this.#reader.mailboxes(account);
  }

  subscriptions(account: AccountId): Promise<readonly string[]> {
    return this.#reader.subscriptions(account);
  }

  columns(account: AccountId, mailbox: MailboxId): Promise<Columns | undefined> {
    return this.#reader.columns(account, mailbox);
  }

  rows(account: AccountId, mailbox: MailboxId, uids: Uint32Array): Promise<readonly Row[]> {
    return this.#reader.rows(account, mailbox, uids);
  }

  changes(account: AccountId, mailbox: MailboxId | null, since: ModSeq, limit = CHANGES_LIMIT): Promise<Changes> {
    return readChanges(this.#tables, account, mailbox, since, Math.max(1, limit));
  }

  contents(
    account: AccountId,
    ids: readonly ContentId[],
    fields: readonly ContentField[],
  ): Promise<readonly (Content | undefined)[]> {
    return this.#reader.contents(account, ids, fields);
  }

  findByMessageId(account: AccountId, messageId: string): Promise<readonly Row[]> {
    return this.#reader.findByMessageId(account, messageId);
  }

  async createAccount(options: Parameters<MailStore['createAccount']>[0]): Promise<void> {
    const { account, quotaBytes, quotaMessages, mailboxes } = options;
    const now = this.#time();
    let uidValidity = nextUidValidity(0, now) - 1;
    const effects = new Effects();
    for (const named of mailboxes)
      effects.mailboxes.set(named.id, { value: { ...newMailbox(named, ++uidValidity), modSeq: 1 }, modSeq: 1 });
    const { entry } = encodeEntry(effects, 1, now, Number.POSITIVE_INFINITY);
    await this.#tables.accounts.insertOne({
      ...{ _id: account, key: newKey(account), rev: 0, epoch: 0, owner: null, until: 0 },
      ...{ modSeq: 1, applied: 0, floor: 0, usedBytes: 0, usedMessages: 0, quotaBytes, quotaMessages },
      ...{ uidValidity, lastContent: 0, due: entry.due, log: [entry] },
    });
  }

  async setQuota(account: AccountId, quotaBytes: number | null, quotaMessages: number | null): Promise<void> {
    const { matched } = await this.#tables.accounts.updateOne(
      { _id: account },
      { $set: { quotaBytes, quotaMessages }, $inc: { rev: 1 } },
    );
    if (matched === 0) throw new ClientError('notFound', { account });
    this.#writers.get(account)?.forget();
  }

  async deleteAccount(account: AccountId): Promise<void> {
    const doc = await this.#tables.accounts.findOne({ _id: account }, { fields: ['key'] });
    if (doc === undefined) return;
    const { key } = doc;
    // From here on the collector finishes it, whatever happens to this node.
    await this.#tables.purges.insertOne({ _id: key, account, at: this.#time() });
    await this.#tables.accounts.deleteOne({ _id: account, key });
    this.#writers.get(account)?.forget();
    while (await this.#collector.purge(key));
  }

  accounts(cursor: AccountId | null, limit: number): Promise<readonly AccountId[]> {
    return readAccounts(this.#tables, cursor, limit);
  }

  async lease(account: AccountId, owner: string, ttlMs: number, gone?: string): Promise<Lease | undefined> {
    const now = this.#timeExpression();
    const own: Expression = { $eq: ['$owner', { $literal: owner }] };
    const nobody = [null, { $literal: gone ?? null }].map((none): Expression => ({ $eq: ['$owner', none] }));
    const free: Expression = { $or: [own, ...nobody, { $lte: ['$until', now] }] };
    // An owner that dies leaves contents which only the collector finds.
    const latest: Expression = { $add: [now, AFTERLIFE_MS] };
    const doc = await this.#tables.accounts.findOneAndUpdate({ _id: account, $expr: free }, [
      {
        $set: {
          epoch: { $cond: [own, '$epoch', { $add: ['$epoch', 1] }] },
          owner: { $literal: owner },
          until: { $add: [now, ttlMs] },
          due: { $cond: [{ $lte: ['$due', latest] }, '$due', latest] },
        },
      },
    ]);
    if (doc === undefined) {
      const there = await this.#tables.accounts.findOne({ _id: account }, { fields: [] });
      if (there === undefined) throw new ClientError('notFound', { account });
      return undefined;
    }
    this.#heard(doc.until - ttlMs);
    this.#writer(account).learn(doc);
    return { epoch: doc.epoch, until: doc.until };
  }

  async release(account: AccountId, owner: string): Promise<void> {
    await this.#tables.accounts.updateOne({ _id: account, owner }, { $set: { owner: null, until: 0 } });
  }

  async holder(account: AccountId): Promise<LeaseHolder | undefined> {
    const doc = await this.#tables.accounts.findOne({ _id: account }, { fields: ['owner', 'until'] });
    if (doc === undefined || doc.owner === null) return undefined;
    const leftMs = doc.until - (this.#now?.() ?? (await this.#mongo.now()));
    return leftMs <= 0 ? undefined : { owner: doc.owner, leftMs };
  }

  async commit(account: AccountId, epoch: number, ops: readonly Op[], request?: string): Promise<CommitResult> {
    if (ops.length > OPS_MAX) throw new ClientError('limitReached', { operations: ops.length });
    const ready = ops.map(readyOp);
    return new Promise((resolve, reject) => {
      this.#writer(account).add({ epoch, ops: ready, request, resolve, reject });
    });
  }

  outbox(topic: OutboxTopic, limit: number): Promise<readonly OutboxEntry[]> {
    return readOutbox(this.#tables, topic, limit);
  }

  outboxDone(topic: OutboxTopic, entries: readonly OutboxEntry[]): Promise<void> {
    return outboxDone(this.#tables, topic, entries);
  }

  liveBlobs(refs: readonly BlobRef[]): Promise<ReadonlySet<BlobRef>> {
    return readLiveBlobs(this.#tables, refs);
  }

  /** @throws TemporaryError, when it has done what it could, where an account or a mailbox could not be handled */
  gc(now: number, budgetMs: number): Promise<boolean> {
    return this.#collector.run(now, budgetMs);
  }

  async verify(repair: boolean): Promise<readonly Damage[]> {
    const found: Damage[] = [];
    const changed = (account: AccountId): void => this.#writers.get(account)?.forget();
    const fix = repair ? { now: this.#time(), changed } : undefined;
    for (let page = await this.accounts(null, ACCOUNTS_PAGE); page.length > 0; ) {
      for (const account of page)
        found.push(...(await verifyAccount(this.#tables, account, fix).catch(unreadable(account))));
      page = await this.accounts(page.at(-1)!, ACCOUNTS_PAGE);
    }
    return found;
  }

  backup(destination: string): Promise<void> {
    return writeBackup(this.#tables, destination);
  }

  /** Makes the accounts of a backup that are not there; run again, it goes on where it stopped. */
  restore(folder: string): Promise<void> {
    return readBackup(this.#tables, folder, this.#time());
  }

  async stats(): Promise<MailStoreStats> {
    const size = await this.#mongo.db.command({ dbStats: 1 });
    return { ...(await this.#sums.get()), stored: Number(size.storageSize) };
  }
}
