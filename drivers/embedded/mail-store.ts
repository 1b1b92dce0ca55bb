/**
 * The embedded mail store: a folder with a few SQLite shards, each account wholly in one of them. Writers commit in
 * groups in threads of their own; small reads run in the main thread on committed data, so a commit that has resolved is
 * seen by every read behind it.
 */

import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { ClientError, Fault, TemporaryError } from '../../core/mail/errors.ts';
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
import { sortedUids } from '../mail-store-ops.ts';
import { readChanges } from './mail-store-changes.ts';
import { readLiveBlobs, readOutbox } from './mail-store-lists.ts';
import { MailShard } from './mail-store-shard.ts';
import { receivedCommit, type SentCommit, type SentCommitResult, sentOp } from './mail-store-wire.ts';

const OPS_MAX = 1000;
const CHANGES_LIMIT = 10_000;
/** The writer is asked for so much collecting at a time; commits get in between. */
const GC_SLICE_MS = 20;
const META = 'mail-store.json';

/** These alone in a commit may be undone by power loss for a second. */
const isVolatile = (op: Op): boolean => op.t === 'store' || op.t === 'claimRecent';

export class EmbeddedMailStore implements MailStore {
  readonly #folder: string;
  readonly #shardsWanted: number;
  readonly #now: () => number;
  #shards: MailShard[] = [];

  /** `shards` counts for a new folder only: an account's shard never changes. */
  constructor(options: { folder: string; shards?: number; now: () => number }) {
    this.#folder = options.folder;
    this.#shardsWanted = options.shards ?? 2;
    this.#now = options.now;
  }

  async open(): Promise<void> {
    await mkdir(this.#folder, { recursive: true });
    const count = await shardCount(this.#folder, this.#shardsWanted);
    this.#shards = Array.from({ length: count }, (_, index) => new MailShard(join(this.#folder, shardFile(index))));
    const opened = await Promise.allSettled(this.#shards.map((shard) => shard.open()));
    const refused = opened.find((result) => result.status === 'rejected');
    const failures = this.#shards.map((shard) => shard.failure);
    if (refused === undefined && failures.some((failure) => failure === undefined)) return;
    await Promise.all(
      this.#shards.filter((_, index) => opened[index]!.status === 'fulfilled').map((one) => one.close()),
    );
    throw refused?.reason ?? failures[0];
  }

  async close(): Promise<void> {
    const shards = this.#shards;
    this.#shards = [];
    await Promise.all(shards.map((shard) => shard.close()));
  }

  /** FNV-1a of the account's id, by the number of shards. */
  #shard(account: AccountId): MailShard {
    let hash = 0x811c9dc5;
    for (let i = 0; i < account.length; i++) hash = Math.imul(hash ^ account.charCodeAt(i), 0x01000193);
    const shard = this.#shards[(hash >>> 0) % this.#shards.length];
    if (shard === undefined) throw new Fault('the mail store is not open');
    return shard;
  }

  /** Shards whose files could be opened. Who lists accounts or live blobs needs all, and fails without one. */
  #usable(): MailShard[] {
    return this.#shards.filter((shard) => shard.failure === undefined);
  }

  async account(account: AccountId): Promise<AccountState | undefined> {
    return this.#shard(account).read((reader) => reader.account(account));
  }

  async mailboxes(account: AccountId): Promise<readonly Mailbox[]> {
    return this.#shard(account).read((reader) => reader.mailboxes(account));
  }

  async subscriptions(account: AccountId): Promise<readonly string[]> {
    return this.#shard(account).read((reader) => reader.subscriptions(account));
  }

  async columns(account: AccountId, mailbox: MailboxId): Promise<Columns | undefined> {
    return await this.#shard(account).columns(account, mailbox);
  }

  async rows(account: AccountId, mailbox: MailboxId, uids: Uint32Array): Promise<readonly Row[]> {
    return this.#shard(account).read((reader) => reader.rows(account, mailbox, sortedUids(uids)));
  }

  async changes(account: AccountId, mailbox: MailboxId | null, since: ModSeq, limit = CHANGES_LIMIT): Promise<Changes> {
    return this.#shard(account).read((reader) =>
      reader.snapshot(() => readChanges(reader, account, mailbox, since, Math.max(1, limit))),
    );
  }

  async contents(
    account: AccountId,
    ids: readonly ContentId[],
    fields: readonly ContentField[],
  ): Promise<readonly (Content | undefined)[]> {
    return this.#shard(account).read((reader) => reader.contents(account, ids, fields));
  }

  async findByMessageId(account: AccountId, messageId: string): Promise<readonly Row[]> {
    return this.#shard(account).read((reader) => reader.findByMessageId(account, messageId));
  }

  async createAccount(options: Parameters<MailStore['createAccount']>[0]): Promise<void> {
    await this.#shard(options.account).call('createAccount', { ...options, now: this.#now() });
  }

  async setQuota(account: AccountId, quotaBytes: number | null, quotaMessages: number | null): Promise<void> {
    await this.#shard(account).call('setQuota', { account, quotaBytes, quotaMessages });
  }

  async deleteAccount(account: AccountId): Promise<void> {
    const shard = this.#shard(account);
    await shard.call('deleteAccount', { account });
    // What is left when the process ends here is taken up by gc.
    while (await shard.call<boolean>('purge', null));
  }

  async accounts(cursor: AccountId | null, limit: number): Promise<readonly AccountId[]> {
    const lists = this.#shards.map((shard) => shard.read((reader) => reader.accounts(cursor, limit)));
    return lists
      .flat()
      .sort((a, b) => (a < b ? -1 : 1))
      .slice(0, limit);
  }

  async lease(account: AccountId, owner: string, ttlMs: number, gone?: string): Promise<Lease | undefined> {
    return await this.#shard(account).call('lease', { account, owner, ttlMs, gone, now: this.#now() }, 'volatile');
  }

  async release(account: AccountId, owner: string): Promise<void> {
    await this.#shard(account).call('release', { account, owner }, 'volatile');
  }

  async holder(account: AccountId): Promise<LeaseHolder | undefined> {
    return await this.#shard(account).call('holder', { account, now: this.#now() }, 'volatile');
  }

  async commit(account: AccountId, epoch: number, ops: readonly Op[], request?: string): Promise<CommitResult> {
    if (ops.length > OPS_MAX) throw new ClientError('limitReached', { operations: ops.length });
    const sent: SentCommit = {
      account,
      epoch,
      now: this.#now(),
      ops: ops.map((op) => sentOp(account, op)),
      ...(request === undefined ? {} : { request }),
    };
    const mode = ops.every(isVolatile) ? 'volatile' : 'durable';
    return receivedCommit(await this.#shard(account).call<SentCommitResult>('commit', sent, mode));
  }

  async outbox(topic: OutboxTopic, limit: number): Promise<readonly OutboxEntry[]> {
    const lists = this.#shards.map((shard, index) => {
      if (shard.failure !== undefined) return [];
      return shard.read((reader) => readOutbox(reader, topic, limit, { index, of: this.#shards.length }));
    });
    return lists
      .flat()
      .sort((a, b) => a.at - b.at || a.entry.id - b.entry.id)
      .slice(0, limit)
      .map(({ entry }) => entry);
  }

  async outboxDone(topic: OutboxTopic, entries: readonly OutboxEntry[]): Promise<void> {
    const of = this.#shards.length;
    await Promise.all(
      this.#shards.map(async (shard, index) => {
        const ids = entries.filter(({ id }) => id % of === index).map(({ id }) => Math.floor(id / of));
        if (ids.length > 0) await shard.call('outboxDone', { topic, ids });
      }),
    );
  }

  async liveBlobs(refs: readonly BlobRef[]): Promise<ReadonlySet<BlobRef>> {
    const live = new Set<BlobRef>();
    for (const shard of this.#shards) {
      for (const ref of shard.read((reader) => readLiveBlobs(reader, refs))) live.add(ref);
    }
    return live;
  }

  async gc(now: number, budgetMs: number): Promise<boolean> {
    const deadline = performance.now() + budgetMs;
    const results = await Promise.all(
      this.#usable().map(async (shard) => {
        for (;;) {
          const slice = Math.min(GC_SLICE_MS, deadline - performance.now());
          const more = await shard.call<boolean>('gc', { now, budgetMs: Math.max(0, slice) });
          if (!more || performance.now() >= deadline) return more;
        }
      }),
    );
    return results.some((more) => more);
  }

  async verify(repair: boolean): Promise<readonly Damage[]> {
    return (await Promise.all(this.#shards.map((shard) => shard.verify(repair)))).flat();
  }

  async backup(destination: string): Promise<void> {
    await mkdir(destination, { recursive: true });
    for (const [index, shard] of this.#shards.entries()) await shard.backup(join(destination, shardFile(index)));
    await writeMeta(destination, this.#shards.length);
  }

  async stats(): Promise<MailStoreStats> {
    const stats = { accounts: 0, messages: 0, stored: 0 };
    for (const shard of this.#usable()) {
      const counts = shard.read((reader) => reader.counts());
      stats.accounts += counts.accounts;
      stats.messages += counts.messages;
      stats.stored += await shard.stored();
    }
    return stats;
  }
}

const shardFile = (index: number): string => `mail-${index}.db`;

/** The number of shards that the folder was made with; recorded before the first of them is made. */
async function shardCount(folder: string, wanted: number): Promise<number> {
  let text: string;
  try {
    text = await readFile(join(folder, META), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    await writeMeta(folder, wanted);
    return wanted;
  }
  const shards = Number(/^\{"shards":(\d{1,4})\}\s*$/.exec(text)?.[1] ?? 0);
  if (shards < 1)
    throw new TemporaryError('storeUnavailable', {
      file: join(folder, META),
      detail: 'it must hold {"shards":N}, with N the number of files mail-0.db, mail-1.db … beside it',
    });
  return shards;
}

async function writeMeta(folder: string, shards: number): Promise<void> {
  const temporary = join(folder, `${META}.new`);
  const file = await open(temporary, 'w');
  try {
    await file.writeFile(`${JSON.stringify({ shards })}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, join(folder, META));
  const directory = await open(folder, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
