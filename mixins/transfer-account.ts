/**
 * Copies one account's mailboxes and messages. Messages get new uids in their old order, in mailboxes with a uidValidity of
 * their own, so no client takes one for another. Each append names the message it came from, so what an earlier run has
 * copied (within the 7 days that stores remember such names) is not copied again.
 */

import { Fault, TemporaryError } from '../core/mail/errors.ts';
import { type AccountId, type ContentId, contentId, type MailboxId } from '../core/mail/ids.ts';
import { layoutBlobs } from '../core/mail/layout.ts';
import type { Columns, Content, ContentField, Mailbox, MailStore, Op, OpResult } from '../core/ports/mail-store.ts';
import type { BlobCopier } from './transfer-blobs.ts';

const BATCH = 100;
/** Names asked for at once; costs no content. */
const ASKED_AT_ONCE = 1_000;
/** Of one commit. */
const OPS_MAX = 1_000;
const LEASE_MS = 30_000;
/** Beginning of the names of runs: what a run that was killed still holds is waited for. */
export const RUN = 'transfer-';
const ALL: readonly ContentField[] = [
  ...(['layout', 'size', 'envelope', 'bodystructure'] as const),
  ...(['structure', 'messageId', 'sentAt', 'origin'] as const),
];
/** Stands for no content: an append of it only tells whether its name is known. */
const NONE = contentId(Number.MAX_SAFE_INTEGER);

export interface AccountCopy {
  readonly from: MailStore;
  readonly to: MailStore;
  readonly blobs: BlobCopier;
  /** Names this run to leases. */
  readonly owner: string;
  readonly wait: (ms: number) => Promise<unknown>;
  /** Messages that were copied, or were there already. */
  readonly copied: (count: number, known: boolean) => void;
  /** A message that could not be copied, because the source itself is broken. */
  readonly damaged: (what: string, detail: string) => void;
  /** Which content a content has become. */
  readonly renamed: (account: AccountId, from: ContentId, to: ContentId) => void;
  /** Asked for at the end: labels of users that were on their way into the log. */
  readonly intents: () => readonly { readonly key: string; readonly payload: unknown }[];
}

/** Rejects with TemporaryError mailboxInUse while a node is in charge of the account. */
export async function copyAccount(copy: AccountCopy, account: AccountId): Promise<void> {
  const state = await copy.from.account(account);
  if (state === undefined) return;
  const mailboxes = await copy.from.mailboxes(account);
  const { quotaBytes, quotaMessages } = state;
  await copy.to.createAccount({
    ...{ account, quotaBytes, quotaMessages },
    mailboxes: mailboxes.map(({ id, name, role }) => ({ id, name, role })),
  });
  const writer = new AccountWriter(copy, account);
  try {
    const targets = await makeMailboxes(writer, mailboxes);
    for (const mailbox of mailboxes) await new MailboxCopy(writer, mailbox, targets.get(mailbox.id)!).run();
    const subscribed = await copy.from.subscriptions(account);
    await writer.commit(subscribed.map((name): Op => ({ t: 'subscribe', name, subscribed: true })));
    await writer.commit(copy.intents().map((intent): Op => ({ t: 'outbox', topic: 'feedback', ...intent })));
  } finally {
    await writer.release();
  }
}

/** The account's lease over there, and what is known of its contents. */
class AccountWriter {
  readonly copy: AccountCopy;
  readonly account: AccountId;
  readonly contents = new Map<ContentId, ContentId>();
  #epoch = 0;
  #renewAt = Number.NEGATIVE_INFINITY;

  constructor(copy: AccountCopy, account: AccountId) {
    this.copy = copy;
    this.account = account;
  }

  async commit(ops: readonly Op[]): Promise<readonly OpResult[]> {
    if (ops.length === 0) return [];
    const { to } = this.copy;
    if (performance.now() >= this.#renewAt) {
      this.#epoch = await this.#lease();
      this.#renewAt = performance.now() + LEASE_MS / 3;
    }
    const results: OpResult[] = [];
    for (let at = 0; at < ops.length; at += OPS_MAX)
      results.push(...(await to.commit(this.account, this.#epoch, ops.slice(at, at + OPS_MAX))).results);
    return results;
  }

  async #lease(): Promise<number> {
    const { to, owner, wait } = this.copy;
    for (let waited = false; ; waited = true) {
      const lease = await to.lease(this.account, owner, LEASE_MS);
      if (lease !== undefined) return lease.epoch;
      const holder = await to.holder(this.account);
      if (waited || holder?.owner.startsWith(RUN) === false)
        throw new TemporaryError('mailboxInUse', { account: this.account });
      if (holder !== undefined) await wait(holder.leftMs + 1);
    }
  }

  async release(): Promise<void> {
    await this.copy.to.release(this.account, this.copy.owner);
  }

  became(from: ContentId, to: ContentId): void {
    this.contents.set(from, to);
    this.copy.renamed(this.account, from, to);
  }
}

/** By id, else by name: an account that was made over there has mailboxes of the same names. */
async function makeMailboxes(
  writer: AccountWriter,
  wanted: readonly Mailbox[],
): Promise<ReadonlyMap<MailboxId, MailboxId>> {
  const there = await writer.copy.to.mailboxes(writer.account);
  const targets = new Map<MailboxId, MailboxId>();
  const missing: Mailbox[] = [];
  for (const mailbox of wanted) {
    const found = there.find(({ id }) => id === mailbox.id) ?? there.find(({ name }) => name === mailbox.name);
    targets.set(mailbox.id, found?.id ?? mailbox.id);
    if (found === undefined) missing.push(mailbox);
  }
  for (let at = 0; at < missing.length; at += BATCH) {
    const some = missing.slice(at, at + BATCH);
    const results = await writer.commit(some.map(({ id, name, role }): Op => ({ t: 'createMailbox', id, name, role })));
    const refused = results.findIndex((result) => !result.ok);
    if (refused >= 0) throw new Fault('a mailbox was not made', { mailbox: some[refused]!.name });
  }
  return targets;
}

class MailboxCopy {
  readonly #writer: AccountWriter;
  readonly #source: Mailbox;
  readonly #target: MailboxId;
  /** The highest uid there of a message that is not \\Recent here, as far as it is copied. */
  #lastUid = 0;

  constructor(writer: AccountWriter, source: Mailbox, target: MailboxId) {
    this.#writer = writer;
    this.#source = source;
    this.#target = target;
  }

  async run(): Promise<void> {
    const { copy, account } = this.#writer;
    const columns = await copy.from.columns(account, this.#source.id);
    if (columns === undefined) return;
    const seen = columns.uids.findIndex((uid) => uid >= this.#source.recentUid);
    const recentFrom = seen === -1 ? columns.uids.length : seen;
    const known = await this.#known(columns, recentFrom);
    for (let at = 0; at < columns.uids.length; ) {
      // What sessions have been told of already is not shown as \Recent again.
      const end = Math.min(at + BATCH, at < recentFrom ? recentFrom : columns.uids.length);
      const places = Array.from({ length: end - at }, (_, i) => at + i).filter((i) => !known.has(i));
      await this.#append(columns, places);
      at = end;
      if (at === recentFrom) await this.#claimRecent();
    }
  }

  async #claimRecent(): Promise<void> {
    const target = await this.#find();
    if (target !== undefined && target.recentUid <= this.#lastUid)
      await this.#writer.commit([{ t: 'claimRecent', mailbox: this.#target }]);
  }

  async #find(): Promise<Mailbox | undefined> {
    return (await this.#writer.copy.to.mailboxes(this.#writer.account)).find(({ id }) => id === this.#target);
  }

  /** Places in the columns whose messages are there already. */
  async #known(columns: Columns, recentFrom: number): Promise<ReadonlySet<number>> {
    const known = new Set<number>();
    const target = await this.#find();
    if (target === undefined || target.uidNext === 1) return known;
    for (let at = 0; at < columns.uids.length; at += ASKED_AT_ONCE) {
      const ops: Op[] = [];
      for (let i = at; i < Math.min(at + ASKED_AT_ONCE, columns.uids.length); i++)
        ops.push(this.#op(columns, i, { ref: NONE }));
      for (const [i, result] of (await this.#writer.commit(ops)).entries()) {
        if (!result.ok || result.t !== 'append') continue;
        known.add(at + i);
        if (at + i < recentFrom) this.#lastUid = Math.max(this.#lastUid, result.uid);
        this.#writer.became(contentId(columns.contents[at + i]!), result.content);
      }
    }
    this.#writer.copy.copied(known.size, true);
    return known;
  }

  async #append(columns: Columns, places: readonly number[]): Promise<void> {
    const { copy, account, contents } = this.#writer;
    const wanted = [...new Set(places.map((i) => contentId(columns.contents[i]!)))].filter((id) => !contents.has(id));
    const found = new Map<ContentId, Content>();
    const broken = new Map<ContentId, string>();
    for (const [i, content] of (await copy.from.contents(account, wanted, ALL)).entries()) {
      const trouble = content === undefined ? 'its content is gone' : await this.#copyBlobs(content);
      if (trouble === undefined) found.set(wanted[i]!, content!);
      else broken.set(wanted[i]!, trouble);
    }
    // A message that shares its content with one before it in the batch refers to it, so that one is written first.
    let ops: number[] = [];
    const taken = new Set<ContentId>();
    for (const i of places) {
      const id = contentId(columns.contents[i]!);
      const trouble = broken.get(id);
      if (trouble !== undefined) {
        copy.damaged(`${account}, ${this.#source.name}, uid ${columns.uids[i]}`, trouble);
        continue;
      }
      if (taken.has(id) && !contents.has(id)) {
        await this.#commit(columns, ops, found);
        ops = [];
      }
      taken.add(id);
      ops.push(i);
    }
    await this.#commit(columns, ops, found);
  }

  async #commit(columns: Columns, places: readonly number[], found: ReadonlyMap<ContentId, Content>): Promise<void> {
    const { copy, contents } = this.#writer;
    const ops = places.map((i) => {
      const id = contentId(columns.contents[i]!);
      const known = contents.get(id);
      if (known !== undefined) return this.#op(columns, i, { ref: known });
      const { id: _id, ...content } = found.get(id)!;
      return this.#op(columns, i, content);
    });
    for (const [i, result] of (await this.#writer.commit(ops)).entries()) {
      const place = places[i]!;
      if (!result.ok || result.t !== 'append')
        throw new Fault('a message was refused', { why: result.ok ? result.t : result.why });
      this.#writer.became(contentId(columns.contents[place]!), result.content);
      this.#lastUid = Math.max(this.#lastUid, result.uid);
      copy.copied(1, result.duplicate);
    }
  }

  #op(columns: Columns, i: number, content: Extract<Op, { t: 'append' }>['content']): Op {
    return {
      ...{ t: 'append', mailbox: this.#target, content },
      flags: columns.flagSets[columns.flags[i]!]!,
      internalDate: columns.dates[i]!,
      dedupe: `transfer ${this.#source.id} ${this.#source.uidValidity} ${columns.uids[i]}`,
      quota: 'ignore',
    };
  }

  /** What is wrong, where the source is broken. */
  async #copyBlobs(content: Content): Promise<string | undefined> {
    try {
      for (const ref of layoutBlobs(content.layout)) await this.#writer.copy.blobs.copy(ref);
      return undefined;
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      return error.message;
    }
  }
}
