/**
 * Takes everything from one set of stores into another, whichever drivers keep them: an installation of one machine into
 * a mesh, and back. The source must be at rest. It may be cut off anywhere and run again: what is there is left as it is.
 * Accounts come last, so nobody is served from mailboxes that are half there.
 */

import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { ClientError, Fault, MailError } from '../core/mail/errors.ts';
import type { AccountId, ContentId, QueueId } from '../core/mail/ids.ts';
import type { OutboxEntry } from '../core/ports/mail-store.ts';
import type { MessageRecord } from '../core/ports/queue.ts';
import { copyDirectory } from '../drivers/cluster/directory-copy.ts';
import type { Stores } from './stores.ts';
import { copyAccount, RUN } from './transfer-account.ts';
import { BlobCopier } from './transfer-blobs.ts';
import { copyModels, copySamples, intentOver, SampleNames } from './transfer-learning.ts';

const PAGE = 500;
const OUTBOX_MAX = 100_000;
/** What is broken is listed up to here, and counted beyond. */
const DAMAGED_LISTED = 1_000;

/** A name for a run: the next one knows by it what a run before has left behind. */
export const newRun = (): string => RUN + randomBytes(6).toString('hex');

type Part = 'accounts' | 'queue' | 'learning' | 'directory';

export interface TransferReport {
  part: Part;
  /** Done so far, of `accountsInAll`. */
  accounts: number;
  accountsInAll: number;
  messages: number;
  messagesInAll: number;
  /** Of these, copied by an earlier run. */
  messagesKnown: number;
  blobs: number;
  bytes: number;
  /** Custody and trace records of the queue. */
  records: number;
  labels: number;
  models: number;
  /** Messages that could not be copied, because the source is broken. */
  damagedCount: number;
  damaged: { readonly what: string; readonly detail: string }[];
  /** Accounts that a running node, or another run, was in charge of: run again. */
  busy: AccountId[];
}

export interface TransferOptions {
  /** Names this run. */
  readonly owner: string;
  readonly now: () => number;
  readonly progress?: (report: Readonly<TransferReport>) => void;
  /** Only tests give another. */
  readonly wait?: (ms: number) => Promise<unknown>;
  /** Between two accounts: the run ends after this one. */
  readonly signal?: AbortSignal;
}

type Stored = Omit<Stores, 'close' | 'resolver' | 'locks' | 'mesh' | 'search'>;

/**
 * Rejects with ClientError conflict, having changed nothing, when a name of the source is somebody else's over there. The
 * search index is not copied: it fills itself.
 */
export async function transfer(from: Stored, to: Stored, options: TransferOptions): Promise<TransferReport> {
  await checkNames(from, to);
  const run = new Transfer(from, to, options);
  await run.accounts();
  if (options.signal?.aborted !== true) {
    await run.queue();
    await run.learning();
    // The rest of an account that another run has at hand is not there yet.
    if (await run.isWhole()) await run.directory();
  }
  return run.report;
}

class Transfer {
  readonly report: TransferReport = {
    ...{
      part: 'accounts',
      accounts: 0,
      accountsInAll: 0,
      messages: 0,
      messagesInAll: 0,
      messagesKnown: 0,
      blobs: 0,
      bytes: 0,
    },
    ...{ records: 0, labels: 0, models: 0, damagedCount: 0, damaged: [], busy: [] },
  };
  readonly #from: Stored;
  readonly #to: Stored;
  readonly #options: TransferOptions;
  readonly #blobs: BlobCopier;
  readonly #names = new SampleNames();

  constructor(from: Stored, to: Stored, options: TransferOptions) {
    this.#from = from;
    this.#to = to;
    this.#options = options;
    this.#blobs = new BlobCopier(from.blobs, to.blobs);
  }

  async accounts(): Promise<void> {
    const { report } = this;
    const { accounts, messages } = await this.#from.mail.stats();
    Object.assign(report, { accountsInAll: accounts, messagesInAll: messages });
    await this.#names.read(this.#from.samples);
    const outbox = Map.groupBy(await this.#from.mail.outbox('feedback', OUTBOX_MAX), ({ account }) => account);
    for (let cursor: AccountId | null = null; ; ) {
      const page: readonly AccountId[] = await this.#from.mail.accounts(cursor, PAGE);
      for (const account of page) {
        if (this.#options.signal?.aborted === true) return;
        await this.#account(account, outbox.get(account) ?? []);
        report.accounts++;
        this.#tell();
      }
      if (page.length < PAGE) return;
      cursor = page.at(-1)!;
    }
  }

  /** Unfinished mail and the traces of finished mail. */
  async queue(): Promise<void> {
    this.report.part = 'queue';
    for (let cursor: QueueId | undefined; ; ) {
      const page: readonly MessageRecord[] = await this.#from.queue.list({
        limit: PAGE,
        ...(cursor === undefined ? {} : { cursor }),
      });
      for (const record of page) await this.#record(record);
      this.#tell();
      if (page.length < PAGE) return;
      cursor = page.at(-1)!.queueId;
    }
  }

  async learning(): Promise<void> {
    this.report.part = 'learning';
    this.report.labels = await copySamples(this.#from.samples, this.#to.samples, this.#names);
    this.#tell();
    this.report.models = await copyModels(this.#from.models, this.#to.models, this.#options.now());
    this.#tell();
  }

  /** Whether each account that was left out is one that is served there already. */
  async isWhole(): Promise<boolean> {
    const served = await Promise.all(this.report.busy.map((id) => this.#to.directory.account(id)));
    return !served.includes(undefined);
  }

  async directory(): Promise<void> {
    this.report.part = 'directory';
    await copyDirectory(this.#from.directory, this.#to.directory);
    this.#tell();
  }

  async #account(account: AccountId, outbox: readonly OutboxEntry[]): Promise<void> {
    const { report } = this;
    const contents = new Map<ContentId, ContentId>();
    const intended = new Set(outbox.map(({ payload }) => (payload as { content?: ContentId }).content));
    try {
      await copyAccount(
        {
          from: this.#from.mail,
          to: this.#to.mail,
          blobs: this.#blobs,
          owner: this.#options.owner,
          wait: this.#options.wait ?? sleep,
          copied: (count, known) => {
            report.messages += count;
            if (known) report.messagesKnown += count;
            this.#tell();
          },
          damaged: (what, detail) => this.#damaged(what, detail),
          renamed: (id, before, after) => {
            this.#names.renamed(id, before, after);
            if (intended.has(before)) contents.set(before, after);
          },
          intents: () => outbox.flatMap((entry) => intentOver(entry, contents) ?? []),
        },
        account,
      );
    } catch (error) {
      if (!(error instanceof MailError) || error.reply !== 'mailboxInUse') throw error;
      report.busy.push(account);
    }
  }

  async #record(record: MessageRecord): Promise<void> {
    try {
      const isOpen = record.state === 'queued' || record.state === 'dead';
      if (isOpen && record.accepted !== null) await this.#blobs.copy(record.accepted.blob);
      if (await this.#to.queue.adopt(record)) this.report.records++;
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      this.#damaged(`the queued message ${record.queueId}`, error.message);
    }
  }

  #damaged(what: string, detail: string): void {
    this.report.damagedCount++;
    if (this.report.damaged.length < DAMAGED_LISTED) this.report.damaged.push({ what, detail });
  }

  #tell(): void {
    this.report.blobs = this.#blobs.copied;
    this.report.bytes = this.#blobs.bytes;
    this.#options.progress?.(this.report);
  }
}

/** Before anything is copied: whether each name is free over there, or the same already. */
async function checkNames(from: Stored, to: Stored): Promise<void> {
  const check = async (address: string, accounts: readonly AccountId[]): Promise<void> => {
    const there = await to.directory.resolve(address);
    if (there.length > 0 && String(there) !== String(accounts))
      throw new ClientError('conflict', { address, detail: 'the address is somebody else’s there' });
  };
  for (let cursor: string | null = null; ; ) {
    const page = await from.directory.accounts(cursor, PAGE);
    for (const { id, address } of page) await check(address, [id]);
    if (page.length < PAGE) break;
    cursor = page.at(-1)!.address;
  }
  for (let cursor: string | null = null; ; ) {
    const page = await from.directory.aliases(cursor, PAGE);
    for (const { address, accounts } of page) await check(address, accounts);
    if (page.length < PAGE) break;
    cursor = page.at(-1)!.address;
  }
}
