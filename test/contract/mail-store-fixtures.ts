/**
 * What the mail store's suites share: made-up contents, an account with a lease and short ways to act on it, and a dump
 * of everything that an account shows.
 */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import type { FlagSet } from '../../core/mail/flags.ts';
import {
  type AccountId,
  accountId,
  type BlobRef,
  blobRef,
  type ContentId,
  type MailboxId,
  type ModSeq,
  mailboxId,
  modSeq,
} from '../../core/mail/ids.ts';
import { layoutSize, wholeBlob } from '../../core/mail/layout.ts';
import type {
  Columns,
  CommitResult,
  ContentInput,
  Mailbox,
  MailStore,
  Op,
  OpResult,
  Role,
} from '../../core/ports/mail-store.ts';

interface MailStoreFixture {
  readonly store: MailStore;
  /** Closes the store, or drops it as a crash would, and opens it anew on the same data. */
  reopen(): Promise<MailStore>;
  /** Closes and removes everything. */
  close(): Promise<void>;
  /** The store's clock in milliseconds, when it can be turned. */
  readonly clock?: { now: number };
  /** A store on what `backup` wrote into the folder; drivers that restore in another way leave it out. */
  openBackup?(folder: string): Promise<MailStore>;
  /** Messages of a large mailbox, where 16,000 take too long: more than the driver reads at once. */
  readonly large?: number;
  /** How many vanished uids a mailbox remembers, when it was made to be fewer than 100,000. */
  readonly tombstonesKept?: number;
}
export type MakeMailStore = () => Promise<MailStoreFixture>;

export const START = 1_790_000_000_000;
export const DAY = 24 * 3600_000;

/** The name that a blob with this text would have. */
export const blobOf = (text: string): BlobRef => blobRef(createHash('sha256').update(text).digest('hex'));

let made = 0;
/** A content that differs from every other, but for what is given. */
export function contentInput(given: Partial<ContentInput> & { readonly blob?: BlobRef } = {}): ContentInput {
  const number = ++made;
  const { blob = blobOf(`blob ${number}`), ...rest } = given;
  const layout = rest.layout ?? [
    { t: 'bytes' as const, bytes: Buffer.from(`Delivered-To: you\r\nX-Number: ${number}\xff\x00\r\n`, 'latin1') },
    ...wholeBlob(blob, rest.size === undefined ? 1000 + number : Math.max(0, rest.size - 60)),
  ];
  return {
    layout,
    size: layoutSize(layout),
    envelope: Buffer.from(`("Mon, 1 Jan 2024 00:00:00 +0000" "Subject ${number}" NIL NIL NIL NIL NIL NIL NIL NIL)`),
    bodystructure: Buffer.from(`("TEXT" "PLAIN" NIL NIL NIL "7BIT" ${number} 1 NIL NIL NIL NIL)`),
    structure: Uint8Array.from({ length: 40 }, (_, i) => (i * number) & 255),
    messageId: `<${number}@example.org>`,
    sentAt: 1_700_000_000 + number,
    origin: `q${number}`,
    ...rest,
  };
}

export const uids = (...list: number[]): Uint32Array => Uint32Array.from(list);
export const uidRange = (first: number, last: number): Uint32Array =>
  Uint32Array.from({ length: last - first + 1 }, (_, i) => first + i);

export const INBOX = mailboxId('inbox00000000000');
export const JUNK = mailboxId('junk000000000000');
export const newMailboxId = (): MailboxId => mailboxId(`m${String(++made).padStart(15, '0')}`);
export const newAccountId = (): AccountId => accountId(`a${String(++made).padStart(15, '0')}`);

type Matching<Result, T> = Result extends { readonly ok: true; readonly t: infer U }
  ? T extends U
    ? Result
    : never
  : never;
type Success<T extends Op['t']> = Matching<OpResult, T>;

/** One account and its lease. */
export class TestAccount {
  store: MailStore;
  readonly id: AccountId;
  epoch: number;

  private constructor(store: MailStore, id: AccountId, epoch: number) {
    this.store = store;
    this.id = id;
    this.epoch = epoch;
  }

  /** With INBOX and Junk. */
  static async create(
    store: MailStore,
    quota: { readonly bytes?: number; readonly messages?: number } = {},
  ): Promise<TestAccount> {
    const id = newAccountId();
    const mailboxes: { id: MailboxId; name: string; role: Role }[] = [
      { id: JUNK, name: 'Junk', role: 'junk' },
      { id: INBOX, name: 'INBOX', role: 'inbox' },
    ];
    await store.createAccount({
      account: id,
      quotaBytes: quota.bytes ?? null,
      quotaMessages: quota.messages ?? null,
      mailboxes,
    });
    const lease = await store.lease(id, 'owner', DAY);
    assert(lease !== undefined);
    return new TestAccount(store, id, lease.epoch);
  }

  commit(...ops: Op[]): Promise<CommitResult> {
    return this.store.commit(this.id, this.epoch, ops);
  }

  /** Commits one operation that must succeed. */
  async do<O extends Op>(op: O): Promise<Success<O['t']> & { readonly modSeq: ModSeq }> {
    const { results, modSeq: at } = await this.commit(op);
    const result = results[0]!;
    if (!result.ok) assert.fail(`${op.t} failed: ${result.why}`);
    return { ...(result as Success<O['t']>), modSeq: at };
  }

  /** Commits one operation that must fail softly, and says why. */
  async why(op: Op): Promise<string> {
    const result = (await this.commit(op)).results[0]!;
    if (result.ok) assert.fail(`${op.t} succeeded`);
    return result.why;
  }

  /** Appends `count` messages to INBOX; their uids. */
  async fill(count: number, flags: FlagSet = []): Promise<number[]> {
    const { results } = await this.commit(...Array.from({ length: count }, () => append({ flags })));
    return results.map((result) => (result as Success<'append'>).uid);
  }

  async modSeq(): Promise<ModSeq> {
    return (await this.store.account(this.id))!.modSeq;
  }

  async mailbox(id: MailboxId = INBOX): Promise<Mailbox> {
    const found = (await this.store.mailboxes(this.id)).find((mailbox) => mailbox.id === id);
    assert(found !== undefined, `no mailbox ${id}`);
    return found;
  }

  async columns(id: MailboxId = INBOX): Promise<Columns> {
    const columns = await this.store.columns(this.id, id);
    assert(columns !== undefined, `no columns of ${id}`);
    return columns;
  }

  async uids(id: MailboxId = INBOX): Promise<number[]> {
    return [...(await this.columns(id)).uids];
  }

  /** Flags by uid. */
  async flags(id: MailboxId = INBOX): Promise<Record<number, string>> {
    const columns = await this.columns(id);
    const entries = [...columns.uids].map((uid, i) => [uid, columns.flagSets[columns.flags[i]!]!.join(' ')]);
    return Object.fromEntries(entries) as Record<number, string>;
  }

  async vanished(id: MailboxId | null, since: number): Promise<number[]> {
    const { vanished } = await this.store.changes(this.id, id, modSeq(since));
    return vanished.map((one): number => one.uid).sort((a, b) => a - b);
  }

  async changed(id: MailboxId | null, since: number): Promise<number[]> {
    const { changed } = await this.store.changes(this.id, id, modSeq(since));
    return changed.map((one): number => one.uid).sort((a, b) => a - b);
  }
}

type AppendOp = Extract<Op, { t: 'append' }>;
export const append = (given: Partial<AppendOp> = {}): AppendOp => ({
  t: 'append',
  mailbox: INBOX,
  content: given.content ?? contentInput(),
  flags: [],
  internalDate: 1_750_000_000,
  quota: 'enforce',
  ...given,
});

export const store = (
  list: Uint32Array,
  mode: 'add' | 'remove' | 'replace',
  flags: FlagSet,
  unchangedSince?: number,
): Extract<Op, { t: 'store' }> => ({
  t: 'store',
  mailbox: INBOX,
  uids: list,
  mode,
  flags,
  ...(unchangedSince === undefined ? {} : { unchangedSince: modSeq(unchangedSince) }),
});

/** Everything an account shows, as plain values to compare. */
export async function dump(mailStore: MailStore, account: AccountId): Promise<unknown> {
  const mailboxes = await mailStore.mailboxes(account);
  const shown = [];
  for (const mailbox of mailboxes) {
    const columns = await mailStore.columns(account, mailbox.id);
    const list = await mailStore.rows(account, mailbox.id, columns!.uids);
    const contents = await mailStore.contents(account, [...columns!.contents] as ContentId[], [
      'layout',
      'envelope',
      'messageId',
    ]);
    shown.push({
      mailbox,
      list,
      contents,
      vanished: (await mailStore.changes(account, mailbox.id, modSeq(0))).vanished,
    });
  }
  return { state: await mailStore.account(account), subscriptions: await mailStore.subscriptions(account), shown };
}

type Run = (account: TestAccount, fixture: MailStoreFixture, context: TestContext) => Promise<void> | void;
export type Case = (name: string, run: Run) => void;

/** Cases that share one store, each with an account of its own; the store is opened with the first and closed with the last. */
export function sharedCases(driver: string, make: MakeMailStore, declare: (it: Case) => void): void {
  const cases: { name: string; run: Run }[] = [];
  declare((name, run) => void cases.push({ name, run }));
  let fixture: Promise<MailStoreFixture> | undefined;
  let left = cases.length;
  for (const { name, run } of cases) {
    test(`${driver}: ${name}`, async (context) => {
      fixture ??= make();
      const shared = await fixture;
      try {
        await run(await TestAccount.create(shared.store), shared, context);
      } finally {
        if (--left === 0) await shared.close();
      }
    });
  }
}

/** Cases that turn the clock, reopen the store or look at all of it: each with a store of its own. */
export function ownCases(driver: string, make: MakeMailStore): Case {
  return (name, run) => {
    test(`${driver}: ${name}`, async (context) => {
      const fixture = await make();
      try {
        await run(await TestAccount.create(fixture.store), fixture, context);
      } finally {
        await fixture.close();
      }
    });
  };
}
