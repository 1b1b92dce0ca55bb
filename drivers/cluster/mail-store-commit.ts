/**
 * Evaluates one commit's operations against its draft of the account: what each answers, and what would change. Nothing
 * is written here. Operations see each other's effects, and the counters move together with the rows.
 */

import { applyFlags, type FlagSet, hasFlag, NO_FLAGS } from '../../core/mail/flags.ts';
import { type ContentId, contentId, type MailboxId, type ModSeq, modSeq, type Uid, uid } from '../../core/mail/ids.ts';
import type { CommitResult, OpResult, SoftFailure } from '../../core/ports/mail-store.ts';
import type { RowState } from './mail-store-log.ts';
import { deliveryRef, outboxRef, RECEIPT_AGE_MS, type Receipt } from './mail-store-schema.ts';
import type { Draft, MutableMailbox } from './mail-store-state.ts';
import type { NewContent, ReadyAppend, ReadyOp } from './mail-store-wire.ts';

const UID_MAX = 0xffff_ffff;
const OK = { ok: true } as const;
const failure = (why: SoftFailure): OpResult => ({ ok: false, why });

/** The next uidValidity of an account: greater than any before, and by the clock where that is ahead. */
export const nextUidValidity = (last: number, now: number): number =>
  Math.max(last + 1, Math.min(Math.floor(now / 1000), 0xf000_0000));

type Of<T extends ReadyOp['t']> = Extract<ReadyOp, { t: T }>;

/** What the commits of one attempt share. */
export interface Attempt {
  readonly key: string;
  /** Milliseconds since 1970 by the store's clock. */
  readonly now: number;
  readonly quotaBytes: number | null;
  readonly quotaMessages: number | null;
  /** Receipts read from their collection. */
  readonly receipts: ReadonlyMap<string, Receipt>;
  /** Contents that the attempt uses, with their numbers; those that are not stored yet will be before the commit point. */
  readonly contents: Map<number, NewContent>;
  /** Numbers that new contents can't have. */
  readonly taken: ReadonlySet<number>;
  /** \Recent marks that were claimed, by mailbox. */
  readonly recent: Map<MailboxId, number>;
  readonly outboxNumber: () => number;
}

/** The first result under this name, unless it is so old that it may be forgotten. */
export function knownReceipt(draft: Draft, { receipts, now }: Attempt, id: string): Receipt | undefined {
  const receipt = draft.receipt(id) ?? receipts.get(id);
  return receipt !== undefined && receipt.due > now ? receipt : undefined;
}

export class Commit {
  readonly #draft: Draft;
  readonly #attempt: Attempt;
  readonly #before: number;
  /** The modSeq that everything in this commit gets. */
  readonly #modSeq: number;
  effect = false;

  constructor(draft: Draft, attempt: Attempt) {
    this.#draft = draft;
    this.#attempt = attempt;
    this.#before = draft.counters.modSeq;
    this.#modSeq = ++draft.counters.modSeq;
  }

  async run(ops: readonly ReadyOp[]): Promise<CommitResult> {
    const results: OpResult[] = [];
    for (const op of ops) results.push(await this.#apply(op));
    if (!this.effect) this.#draft.counters.modSeq = this.#before;
    return { modSeq: modSeq(this.#draft.counters.modSeq), results };
  }

  #apply(op: ReadyOp): Promise<OpResult> {
    switch (op.t) {
      case 'append':
        return this.#append(op);
      case 'store':
        return this.#store(op);
      case 'copy':
      case 'move':
        return this.#copy(op);
      case 'expunge':
        return this.#expunge(op);
      case 'createMailbox':
        return this.#createMailbox(op);
      case 'updateMailbox':
        return this.#updateMailbox(op);
      case 'deleteMailbox':
        return this.#deleteMailbox(op.mailbox);
      case 'subscribe':
        return this.#subscribe(op);
      case 'claimRecent':
        return this.#claimRecent(op.mailbox);
      case 'outbox':
        return this.#outbox(op);
    }
  }

  async #append(op: ReadyAppend): Promise<OpResult> {
    const { key, now } = this.#attempt;
    const receiptId = op.dedupe === undefined ? undefined : deliveryRef(key, op.dedupe);
    const first = receiptId === undefined ? undefined : knownReceipt(this.#draft, this.#attempt, receiptId);
    if (first !== undefined) return appended(first.uid!, first.uidValidity!, first.content!, true);
    const mailbox = await this.#draft.mailbox(op.mailbox);
    if (mailbox === undefined) return failure('noSuchMailbox');
    const size = await this.#contentSize(op.content);
    if (size === undefined) return failure('noSuchContent');
    if (op.quota === 'enforce' && this.#exceeds(size, 1)) return failure('quota');
    if (mailbox.uidNext > UID_MAX) return failure('uidsExhausted');
    const content = 'ref' in op.content ? op.content.ref : this.#number(op.content);
    const number = this.#add(mailbox, { flags: op.flags, date: op.internalDate, size, content });
    if (receiptId !== undefined) {
      const receipt = {
        id: receiptId,
        due: now + RECEIPT_AGE_MS,
        uid: number,
        uidValidity: mailbox.uidValidity,
        content,
      };
      this.#draft.effects.receipts.set(receiptId, { value: receipt, modSeq: this.#modSeq });
    }
    return appended(number, mailbox.uidValidity, content, false);
  }

  async #contentSize(content: NewContent | { readonly ref: ContentId }): Promise<number | undefined> {
    if (!('ref' in content)) return content.doc.size;
    return this.#attempt.contents.get(content.ref)?.doc.size ?? (await this.#draft.storedSize(content.ref));
  }

  /** The number that the content has or gets. */
  #number(content: NewContent): number {
    const { counters } = this.#draft;
    const number = content.number ?? this.#freeNumber();
    counters.lastContent = Math.max(counters.lastContent, number);
    content.number = number;
    this.#attempt.contents.set(number, content);
    return number;
  }

  /** None is left out: see mail-store-strays.ts. */
  #freeNumber(): number {
    let number = this.#draft.counters.lastContent + 1;
    while (this.#attempt.taken.has(number)) number++;
    return number;
  }

  #exceeds(bytes: number, messages: number): boolean {
    const { quotaBytes, quotaMessages } = this.#attempt;
    const { usedBytes, usedMessages } = this.#draft.counters;
    return (
      (quotaBytes !== null && usedBytes + bytes > quotaBytes) ||
      (quotaMessages !== null && usedMessages + messages > quotaMessages)
    );
  }

  #add(mailbox: MutableMailbox, message: Pick<RowState, 'flags' | 'date' | 'size' | 'content'>): number {
    const number = mailbox.uidNext++;
    const row = { ...message, uid: number, modSeq: this.#modSeq, created: this.#modSeq };
    this.#draft.effects.putRow(mailbox.id, row);
    this.#count(mailbox, row, 1);
    return number;
  }

  /** Moves every counter for a message that comes (`by` 1) or goes (−1), and marks the mailbox as changed. */
  #count(mailbox: MutableMailbox, { flags, size }: RowState, by: 1 | -1): void {
    mailbox.total += by;
    mailbox.bytes += by * size;
    if (!hasFlag(flags, '\\Seen')) mailbox.unseen += by;
    if (hasFlag(flags, '\\Deleted')) mailbox.deleted += by;
    this.#draft.counters.usedBytes += by * size;
    this.#draft.counters.usedMessages += by;
    this.#touch(mailbox);
  }

  #touch(mailbox: MutableMailbox): void {
    mailbox.modSeq = this.#modSeq;
    this.#draft.touch(mailbox);
    this.effect = true;
  }

  async #store(op: Of<'store'>): Promise<OpResult> {
    const mailbox = await this.#draft.mailbox(op.mailbox);
    if (mailbox === undefined) return failure('noSuchMailbox');
    /** Equal sets become one, which is what makes a large answer small. */
    const sets = new Map<string, { readonly flags: FlagSet; readonly after: FlagSet }>();
    const stored: { uid: Uid; flags: FlagSet; modSeq: ModSeq }[] = [];
    const modified: number[] = [];
    for (const row of await this.#draft.live(op.mailbox, op.uids)) {
      // RFC 7162 §3.1.3: the test is against the modSeq as it is now.
      if (op.unchangedSince !== undefined && row.modSeq > op.unchangedSince) {
        modified.push(row.uid);
        continue;
      }
      const name = row.flags.join(' ');
      let set = sets.get(name);
      if (set === undefined) {
        set = { flags: row.flags, after: applyFlags(row.flags, op.mode, op.flags) };
        sets.set(name, set);
      }
      const { flags, after } = set;
      const same = after === flags;
      if (!same) {
        this.#draft.effects.putRow(mailbox.id, { ...row, flags: after, modSeq: this.#modSeq });
        mailbox.unseen += Number(hasFlag(flags, '\\Seen')) - Number(hasFlag(after, '\\Seen'));
        mailbox.deleted += Number(hasFlag(after, '\\Deleted')) - Number(hasFlag(flags, '\\Deleted'));
        this.#touch(mailbox);
      }
      stored.push({ uid: uid(row.uid), flags: after, modSeq: modSeq(same ? row.modSeq : this.#modSeq) });
    }
    return { ...OK, t: 'store', stored, modified: Uint32Array.from(modified) };
  }

  async #copy(op: Of<'copy' | 'move'>): Promise<OpResult> {
    const from = await this.#draft.mailbox(op.from);
    const to = await this.#draft.mailbox(op.to);
    if (from === undefined || to === undefined) return failure('noSuchMailbox');
    const rows = await this.#draft.live(op.from, op.uids);
    if (to.uidNext + rows.length - 1 > UID_MAX) return failure('uidsExhausted');
    // RFC 9051 §6.4.7: a COPY is wholly done or not at all. A MOVE takes nothing more.
    const bytes = rows.reduce((sum, row) => sum + row.size, 0);
    if (op.t === 'copy' && this.#exceeds(bytes, rows.length)) return failure('quota');
    const sources = new Uint32Array(rows.length);
    const targets = new Uint32Array(rows.length);
    for (const [i, { uid: source, flags, date, size, content }] of rows.entries()) {
      sources[i] = source;
      targets[i] = this.#add(to, { flags, date, size, content });
      if (op.t === 'move') this.#bury(from, rows[i]!, false);
    }
    return { ...OK, t: op.t, uidValidity: to.uidValidity, from: sources, to: targets };
  }

  async #expunge(op: Of<'expunge'>): Promise<OpResult> {
    const mailbox = await this.#draft.mailbox(op.mailbox);
    if (mailbox === undefined) return failure('noSuchMailbox');
    if (op.onlyDeleted && mailbox.deleted === 0) return { ...OK, t: 'expunge', uids: new Uint32Array(0) };
    const rows = await this.#draft.live(op.mailbox, op.uids, op.onlyDeleted);
    for (const row of rows) this.#bury(mailbox, row, true);
    return { ...OK, t: 'expunge', uids: Uint32Array.from(rows, (row) => row.uid) };
  }

  /** Leaves a tombstone. `dying`: its content may be without a message now. */
  #bury(mailbox: MutableMailbox, row: RowState, dying: boolean): void {
    const { uid: number, created, content } = row;
    const date = Math.floor(this.#attempt.now / 1000);
    const tombstone = { uid: number, created, date, flags: NO_FLAGS, modSeq: this.#modSeq, size: 0, content: 0 };
    this.#draft.effects.putRow(mailbox.id, tombstone);
    if (dying) this.#draft.effects.dying.set(content, this.#modSeq);
    mailbox.buried++;
    this.#count(mailbox, row, -1);
  }

  async #createMailbox({ id, name, role }: Of<'createMailbox'>): Promise<OpResult> {
    if ((await this.#draft.idTaken(id)) || (await this.#draft.nameTaken(name))) return failure('mailboxExists');
    const { counters } = this.#draft;
    counters.uidValidity = nextUidValidity(counters.uidValidity, this.#attempt.now);
    this.#touch(newMailbox({ id, name, role }, counters.uidValidity));
    return { ...OK, t: 'createMailbox', mailbox: id, uidValidity: counters.uidValidity };
  }

  async #updateMailbox(op: Of<'updateMailbox'>): Promise<OpResult> {
    const mailbox = await this.#draft.mailbox(op.mailbox);
    if (mailbox === undefined) return failure('noSuchMailbox');
    const name = op.name ?? mailbox.name!;
    const role = op.role === undefined ? mailbox.role : op.role;
    if (name !== mailbox.name && (await this.#draft.nameTaken(name))) return failure('mailboxExists');
    if (name !== mailbox.name || role !== mailbox.role) {
      mailbox.name = name;
      mailbox.role = role;
      this.#draft.touch(mailbox);
      this.effect = true;
    }
    return { ...OK, t: 'updateMailbox' };
  }

  async #deleteMailbox(id: MailboxId): Promise<OpResult> {
    const mailbox = await this.#draft.mailbox(id);
    if (mailbox === undefined) return failure('noSuchMailbox');
    for (const row of await this.#draft.live(id, null)) this.#bury(mailbox, row, true);
    mailbox.name = null;
    mailbox.role = null;
    this.#touch(mailbox);
    return { ...OK, t: 'deleteMailbox' };
  }

  async #subscribe({ name, subscribed }: Of<'subscribe'>): Promise<OpResult> {
    if ((await this.#draft.subscribed(name)) !== subscribed) {
      this.#draft.effects.subscriptions.set(name, { value: subscribed, modSeq: this.#modSeq });
      this.effect = true;
    }
    return { ...OK, t: 'subscribe' };
  }

  async #claimRecent(id: MailboxId): Promise<OpResult> {
    const mailbox = await this.#draft.mailbox(id);
    if (mailbox === undefined) return failure('noSuchMailbox');
    const { recent } = this.#attempt;
    const before = Math.max(mailbox.recentUid, recent.get(id) ?? 0);
    if (before !== mailbox.uidNext) recent.set(id, mailbox.uidNext);
    return { ...OK, t: 'claimRecent', recentUid: uid(before) };
  }

  async #outbox({ topic, key, payload }: Of<'outbox'>): Promise<OpResult> {
    const id = outboxRef(this.#attempt.key, topic, key);
    if (!(await this.#draft.isPending(id))) {
      const text = JSON.stringify(payload ?? null);
      const item = { id, number: this.#attempt.outboxNumber(), topic, key, payload: text };
      this.#draft.effects.outbox.set(id, { value: item, modSeq: this.#modSeq });
      this.effect = true;
    }
    return { ...OK, t: 'outbox' };
  }
}

const appended = (number: number, uidValidity: number, content: number, duplicate: boolean): OpResult => ({
  ...{ ...OK, t: 'append', uid: uid(number), uidValidity, content: contentId(content), duplicate },
});

export const newMailbox = (
  named: Pick<MutableMailbox, 'id' | 'name' | 'role'>,
  uidValidity: number,
): MutableMailbox => ({
  ...named,
  ...{ uidValidity, uidNext: 1, modSeq: 0, total: 0, unseen: 0, deleted: 0, bytes: 0, recentUid: 1, buried: 0 },
});
