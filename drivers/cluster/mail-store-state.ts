/**
 * What the owner of an account keeps in memory between its commits: the account's document, the mailboxes that were
 * needed so far, and the effects that are committed but not carried out. A draft is what commits under way would change;
 * it becomes part of the state when the account's document has taken it, and is dropped otherwise.
 */

import { hasFlag } from '../../core/mail/flags.ts';
import type { MailboxId } from '../../core/mail/ids.ts';
import { Effects, type RowState } from './mail-store-log.ts';
import { layMailbox, layRows, openEntries, ROW_FIELDS } from './mail-store-picture.ts';
import {
  type AccountDoc,
  byContent,
  contentRef,
  type LogEntry,
  type MailboxState,
  type MailTables,
  type MessageDoc,
  mailboxOf,
  mailboxRef,
  messageRefs,
  type Receipt,
  subscriptionRef,
  under,
} from './mail-store-schema.ts';
import type { Filter } from './mongo-types.ts';

/** Of a whole mailbox, in one request. */
const SCANNED = 4000;

type Counters = Pick<AccountDoc, 'modSeq' | 'usedBytes' | 'usedMessages' | 'uidValidity' | 'lastContent'>;
export type MutableCounters = { -readonly [K in keyof Counters]: Counters[K] };
export type MutableMailbox = { -readonly [K in keyof MailboxState]: MailboxState[K] };

export interface OpenEntry {
  readonly entry: LogEntry;
  readonly bytes: number;
}

const SMALL = 400;

export class AccountState {
  readonly tables: MailTables;
  readonly doc: AccountDoc;
  counters: Counters;
  /** Everything up to this modSeq has been carried out. */
  applied: number;
  /** Committed and not carried out, ascending. */
  open: OpenEntry[];
  /** Effects of those being carried out now, and of those behind them. */
  older: Effects | undefined;
  newer: Effects;
  readonly #mailboxes = new Map<string, MailboxState | undefined>();
  #allLoaded = false;

  constructor(tables: MailTables, doc: AccountDoc, effects: Effects) {
    this.tables = tables;
    this.doc = doc;
    this.counters = doc;
    this.applied = doc.applied;
    this.open = openEntries(doc).map((entry) => ({ entry, bytes: SMALL }));
    this.newer = effects;
  }

  get key(): string {
    return this.doc.key;
  }

  openBytes(): number {
    return this.open.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Oldest first. */
  effects(): Effects[] {
    return this.older === undefined ? [this.newer] : [this.older, this.newer];
  }

  absorb(draft: Draft, entries: readonly OpenEntry[]): void {
    this.newer.add(draft.effects);
    for (const [id, { value }] of draft.effects.mailboxes) this.#mailboxes.set(id, value);
    this.counters = draft.counters;
    this.open.push(...entries);
  }

  /** Claimed \Recent: raised without a commit. */
  raiseRecent(id: MailboxId, recentUid: number): void {
    const known = this.#mailboxes.get(id);
    if (known !== undefined) this.#mailboxes.set(id, { ...known, recentUid: Math.max(known.recentUid, recentUid) });
  }

  #later(id: string) {
    return this.newer.mailboxes.get(id) ?? this.older?.mailboxes.get(id);
  }

  async loadMailboxes(ids: Iterable<string>): Promise<void> {
    const missing = [...new Set(ids)].filter((id) => !this.#mailboxes.has(id));
    if (missing.length === 0) return;
    // Taken before the documents are read: what is carried out meanwhile is still in it.
    const later = missing.map((id) => this.#later(id));
    const refs = missing.map((id) => mailboxRef(this.key, id));
    const docs = await this.tables.mailboxes.find({ filter: { _id: { $in: refs } } });
    for (const [i, id] of missing.entries()) {
      const doc = docs.find((one) => one.id === id);
      this.#mailboxes.set(id, layMailbox(doc, later[i]));
    }
  }

  /** Every mailbox, deleted ones too. */
  async allMailboxes(): Promise<ReadonlyMap<string, MailboxState | undefined>> {
    if (!this.#allLoaded) {
      const later = new Effects();
      for (const effects of this.effects()) later.add(effects);
      const docs = await this.tables.mailboxes.find({ filter: { _id: under(this.key) } });
      const byId = new Map(docs.map((doc) => [mailboxOf(this.key, doc._id) as string, doc]));
      for (const id of new Set([...byId.keys(), ...later.mailboxes.keys()])) {
        const doc = byId.get(id);
        if (!this.#mailboxes.has(id)) this.#mailboxes.set(id, layMailbox(doc, later.mailboxes.get(id)));
      }
      this.#allLoaded = true;
    }
    return this.#mailboxes;
  }

  mailbox(id: string): MailboxState | undefined {
    return this.#mailboxes.get(id);
  }

  /** Whether the collection has a document of the mailbox for certain. */
  isApplied(id: MailboxId): boolean {
    return this.#later(id) === undefined;
  }

  /** Live rows as the collection has them. */
  async storedRows(mailbox: string, uids: Uint32Array | null, onlyDeleted: boolean): Promise<RowState[]> {
    const state = onlyDeleted ? { content: { $gt: 0 }, flags: '\\Deleted' } : { content: { $gt: 0 } };
    const rows: RowState[] = [];
    const find = async (_id: NonNullable<Filter<MessageDoc>['_id']>, most: { readonly limit?: number } = {}) => {
      const filter = { _id, ...state };
      const found = await this.tables.messages.find({ filter, sort: { _id: 1 }, fields: ROW_FIELDS, ...most });
      rows.push(...found);
      return found;
    };
    if (uids === null) {
      const { $gte, $lt } = under(mailboxRef(this.key, mailbox));
      for (let last = $gte; ; ) {
        const found = await find({ $gt: last, $lt }, { limit: SCANNED });
        if (found.length < SCANNED) return rows;
        last = found.at(-1)!._id;
      }
    }
    for (const _id of messageRefs(this.key, mailbox, uids)) await find(_id);
    if (rows.length === uids.length) return rows;
    const wanted = new Set(uids);
    return rows.filter((row) => wanted.has(row.uid));
  }
}

export class Draft {
  readonly effects = new Effects();
  counters: MutableCounters;
  readonly #state: AccountState;
  readonly #lower: Draft | undefined;
  /** The state's effects when the draft was begun: what is carried out meanwhile is still among them. */
  readonly #base: readonly Effects[];
  readonly #mailboxes = new Map<string, MutableMailbox>();

  constructor(state: AccountState, lower?: Draft) {
    this.#state = state;
    this.#lower = lower;
    this.#base = lower === undefined ? state.effects() : lower.#base;
    this.counters = { ...(lower?.counters ?? state.counters) };
  }

  /** Makes the draft part of the one below it. */
  settle(): void {
    this.#lower!.effects.add(this.effects);
    this.#lower!.counters = this.counters;
  }

  /** Oldest first. */
  #layers(): Effects[] {
    const lower = this.#lower;
    return [...this.#base, ...(lower === undefined ? [] : [lower.effects]), this.effects];
  }

  #newest<T>(get: (effects: Effects) => { readonly value: T } | undefined): T | undefined {
    return this.#layers().reduce<T | undefined>((value, layer) => get(layer)?.value ?? value, undefined);
  }

  /** A mailbox that exists. What is changed in it counts when `touch` was called. */
  async mailbox(id: string): Promise<MutableMailbox | undefined> {
    await this.#state.loadMailboxes([id]);
    const found = this.#known(id);
    if (found === undefined || found.name === null) return undefined;
    const copy = this.#mailboxes.get(id) ?? { ...found };
    this.#mailboxes.set(id, copy);
    return copy;
  }

  #known(id: string): MailboxState | undefined {
    return this.#mailboxes.get(id) ?? this.#lower?.effects.mailboxes.get(id)?.value ?? this.#state.mailbox(id);
  }

  touch(mailbox: MutableMailbox): void {
    this.#mailboxes.set(mailbox.id, mailbox);
    this.effects.mailboxes.set(mailbox.id, { value: mailbox, modSeq: this.counters.modSeq });
  }

  /** Also by a deleted mailbox that is remembered still. */
  async idTaken(id: string): Promise<boolean> {
    await this.#state.loadMailboxes([id]);
    return this.#known(id) !== undefined;
  }

  async nameTaken(name: string): Promise<boolean> {
    const ids = new Set((await this.#state.allMailboxes()).keys());
    for (const id of this.#lower?.effects.mailboxes.keys() ?? []) ids.add(id);
    for (const id of this.effects.mailboxes.keys()) ids.add(id);
    for (const id of ids) if (this.#known(id)?.name === name) return true;
    return false;
  }

  /** Those of the uids (null: of all) that exist, ascending. */
  async live(mailbox: string, uids: Uint32Array | null, onlyDeleted = false): Promise<RowState[]> {
    if (uids?.length === 0) return [];
    const layers = this.#layers().map((effects) => effects.rows.get(mailbox));
    const stored = await this.#state.storedRows(mailbox, uids, onlyDeleted);
    const wanted = uids === null ? undefined : new Set(uids);
    return layRows(
      stored,
      layers,
      (row) => (wanted === undefined || wanted.has(row.uid)) && (!onlyDeleted || hasFlag(row.flags, '\\Deleted')),
    );
  }

  /** A receipt that is committed and may not be in its collection. */
  receipt(id: string): Receipt | undefined {
    return this.#newest((effects) => effects.receipts.get(id));
  }

  /** The size of a stored content that may be referred to. */
  async storedSize(number: number): Promise<number | undefined> {
    const _id = contentRef(this.#state.key, number);
    const found = await this.#state.tables.contents.findOne({ _id }, { fields: ['size', 'dying'] });
    // The collector's mark may be on one that has a message: it will find that out.
    if (found === undefined) return undefined;
    return found.dying === false || (await this.#isUsed(number)) ? found.size : undefined;
  }

  /** Whether a message has the content. */
  async #isUsed(number: number): Promise<boolean> {
    const { key, tables } = this.#state;
    const later = new Effects();
    for (const layer of this.#layers()) later.add(layer);
    for (const rows of later.rows.values()) for (const row of rows.values()) if (row.content === number) return true;
    const filter = { account: key, content: number };
    const docs = await tables.messages.find({ filter, shard: byContent(key), fields: ['mailbox', 'uid'] });
    return docs.some(({ mailbox, uid }) => !later.rows.get(mailboxOf(key, mailbox))?.has(uid));
  }

  async subscribed(name: string): Promise<boolean> {
    const later = this.#newest((effects) => effects.subscriptions.get(name));
    if (later !== undefined) return later;
    const _id = subscriptionRef(this.#state.key, name);
    return (await this.#state.tables.subscriptions.findOne({ _id }, { fields: ['on'] }))?.on ?? false;
  }

  async isPending(id: string): Promise<boolean> {
    const own = [...(this.#lower === undefined ? [] : [this.#lower.effects]), this.effects];
    if (own.some((effects) => effects.outbox.has(id))) return true;
    const doc = await this.#state.tables.outbox.findOne({ _id: id }, { fields: ['pending', 'modSeq'] });
    const later = this.#base.reduce((at, effects) => Math.max(at, effects.outbox.get(id)?.modSeq ?? 0), 0);
    return later > (doc?.modSeq ?? 0) || (doc?.pending ?? '') !== '';
  }
}
