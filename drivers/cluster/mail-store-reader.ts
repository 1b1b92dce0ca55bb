/**
 * What anyone may read of an account, on any node and without a lease: every answer is the account as it was at one
 * modSeq, not older than the newest commit that had been answered when the question was asked. Nothing is cached but the
 * accounts' keys, which can't change while the account lives.
 */

import { type FlagSet, NO_FLAGS } from '../../core/mail/flags.ts';
import { type AccountId, type ContentId, contentId, type MailboxId, modSeq, uid } from '../../core/mail/ids.ts';
import { decodeLayout } from '../../core/mail/layout.ts';
import type { AccountState, Columns, Content, ContentField, Mailbox, Row } from '../../core/ports/mail-store.ts';
import { sortedUids } from '../mail-store-ops.ts';
import type { RowState } from './mail-store-log.ts';
import { layMailbox, layRows, newestOf, type Picture, ROW_FIELDS, steady } from './mail-store-picture.ts';
import {
  byMessageId,
  byModSeq,
  type ContentDoc,
  contentRef,
  type MailboxState,
  type MailTables,
  mailboxOf,
  mailboxRef,
  messageRefs,
  under,
} from './mail-store-schema.ts';
import { readUses } from './mail-store-uses.ts';
import { messageHash } from './mail-store-wire.ts';

const SCANNED = 4000;
const NAMED = 500;
const MESSAGE_ID_ROWS_MAX = 100;
const KEYS_MAX = 20_000;
const NO_BYTES = new Uint8Array(0);

export const toRow = (mailbox: MailboxId, row: RowState): Row => ({
  mailbox,
  uid: uid(row.uid),
  flags: row.flags,
  modSeq: modSeq(row.modSeq),
  created: modSeq(row.created),
  internalDate: row.date,
  size: row.size,
  content: contentId(row.content),
});

const toMailbox = (state: MailboxState): Mailbox => ({
  id: state.id,
  name: state.name ?? '',
  role: state.role,
  uidValidity: state.uidValidity,
  uidNext: uid(state.uidNext),
  modSeq: modSeq(state.modSeq),
  total: state.total,
  unseen: state.unseen,
  deleted: state.deleted,
  bytes: state.bytes,
  recentUid: uid(state.recentUid),
});

const bytewise = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));

export class MailReader {
  readonly #tables: MailTables;
  readonly #keys = new Map<AccountId, string>();

  constructor(tables: MailTables) {
    this.#tables = tables;
  }

  async account(account: AccountId): Promise<AccountState | undefined> {
    const doc = await this.#tables.accounts.findOne(
      { _id: account },
      { fields: ['modSeq', 'floor', 'usedBytes', 'usedMessages', 'quotaBytes', 'quotaMessages'] },
    );
    if (doc === undefined) return undefined;
    const { usedBytes, usedMessages, quotaBytes, quotaMessages } = doc;
    return {
      ...{ account, modSeq: modSeq(doc.modSeq), floor: modSeq(doc.floor) },
      ...{ usedBytes, usedMessages, quotaBytes, quotaMessages },
    };
  }

  /** Every mailbox, deleted ones too. */
  async #allMailboxes({ doc, effects }: Picture): Promise<{ newest: number; value: MailboxState[] }> {
    const docs = await this.#tables.mailboxes.find({ filter: { _id: under(doc.key) } });
    const byId = new Map(docs.map((one) => [mailboxOf(doc.key, one._id) as string, one]));
    const ids = new Set([...byId.keys(), ...effects.mailboxes.keys()]);
    const value = [...ids].flatMap((id) => layMailbox(byId.get(id), effects.mailboxes.get(id)) ?? []);
    return { newest: docs.reduce((newest, one) => Math.max(newest, one.version), 0), value };
  }

  async mailboxes(account: AccountId): Promise<Mailbox[]> {
    const all = (await steady(this.#tables, account, (picture) => this.#allMailboxes(picture))) ?? [];
    return all
      .filter(({ name }) => name !== null)
      .map(toMailbox)
      .sort((a, b) => Number(b.name === 'INBOX') - Number(a.name === 'INBOX') || bytewise(a.name, b.name));
  }

  async subscriptions(account: AccountId): Promise<string[]> {
    const names = await steady(this.#tables, account, async ({ doc, effects }) => {
      const docs = await this.#tables.subscriptions.find({ filter: { _id: under(doc.key) } });
      const on = new Map(docs.map((one) => [one.name, one.on]));
      for (const [name, { value }] of effects.subscriptions) on.set(name, value);
      return { newest: newestOf(docs), value: [...on].filter(([, is]) => is).map(([name]) => name) };
    });
    return (names ?? []).sort(bytewise);
  }

  async columns(account: AccountId, mailbox: MailboxId): Promise<Columns | undefined> {
    /** What a scan has found; once there is one, only what is newer than its picture is read. */
    const found = new Map<number, RowState>();
    return steady(this.#tables, account, async ({ doc, effects }, before) => {
      const _id = mailboxRef(doc.key, mailbox);
      if (before === undefined) found.clear();
      const [mailboxDoc, newest] = await Promise.all([
        this.#tables.mailboxes.findOne({ _id }),
        before === undefined ? this.#scan(_id, doc.modSeq, found) : this.#later(_id, before.doc.applied, found),
      ]);
      const state = layMailbox(mailboxDoc, effects.mailboxes.get(mailbox));
      const all = { newest: Math.max(newest, mailboxDoc?.version ?? 0) };
      if (state === undefined || state.name === null) return { ...all, value: undefined };
      if (all.newest > doc.modSeq) return { ...all, value: undefined };
      const rows = layRows(found.values(), [effects.rows.get(mailbox)], () => true);
      return { ...all, value: pack(toMailbox(state), doc.modSeq, rows) };
    });
  }

  /** All that live, and the tombstones that are newer than the picture. @returns the newest modSeq met */
  async #scan(mailbox: string, at: number, into: Map<number, RowState>): Promise<number> {
    const { $gte, $lt } = under(mailbox);
    let newest = 0;
    for (let last = $gte; ; ) {
      const rows = await this.#tables.messages.find({
        filter: { _id: { $gt: last, $lt }, $or: [{ content: { $gt: 0 } }, { modSeq: { $gt: at } }] },
        ...{ sort: { _id: 1 }, limit: SCANNED, fields: ROW_FIELDS },
      });
      for (const row of rows) into.set(row.uid, row);
      newest = Math.max(newest, newestOf(rows));
      if (rows.length < SCANNED) return newest;
      last = rows.at(-1)!._id;
    }
  }

  async #later(mailbox: string, since: number, into: Map<number, RowState>): Promise<number> {
    const rows = await this.#tables.messages.find({
      filter: { mailbox, modSeq: { $gt: since } },
      shard: byModSeq(mailbox),
      fields: ROW_FIELDS,
    });
    for (const row of rows) into.set(row.uid, row);
    return newestOf(rows);
  }

  async rows(account: AccountId, mailbox: MailboxId, asked: Uint32Array): Promise<Row[]> {
    const uids = sortedUids(asked);
    if (uids.length === 0) return [];
    const wanted = new Set(uids);
    const rows = await steady(this.#tables, account, async ({ doc, effects }) => {
      const docs = await this.#named(doc.key, mailbox, uids);
      const value = layRows(docs, [effects.rows.get(mailbox)], (row) => wanted.has(row.uid));
      return { newest: newestOf(docs), value };
    });
    return (rows ?? []).map((row) => toRow(mailbox, row));
  }

  /** Tombstones too. */
  async #named(key: string, mailbox: MailboxId, uids: Uint32Array): Promise<RowState[]> {
    const found: RowState[] = [];
    for (const _id of messageRefs(key, mailbox, uids))
      found.push(...(await this.#tables.messages.find({ filter: { _id }, fields: ROW_FIELDS })));
    return found;
  }

  async contents(
    account: AccountId,
    ids: readonly ContentId[],
    fields: readonly ContentField[],
  ): Promise<(Content | undefined)[]> {
    const known = this.#keys.get(account);
    if (known !== undefined) {
      const found = await this.#contents(known, ids, fields);
      if (!found.includes(undefined)) return found;
    }
    const key = (await this.#tables.accounts.findOne({ _id: account }, { fields: ['key'] }))?.key;
    if (key === undefined) return ids.map(() => undefined);
    if (this.#keys.size >= KEYS_MAX) this.#keys.clear();
    this.#keys.set(account, key);
    return this.#contents(key, ids, fields);
  }

  async #contents(
    key: string,
    ids: readonly ContentId[],
    fields: readonly ContentField[],
  ): Promise<(Content | undefined)[]> {
    const found = new Map<number, Content>();
    const wanted = [...new Set(ids)];
    for (let at = 0; at < wanted.length; at += NAMED) {
      const refs = wanted.slice(at, at + NAMED).map((id) => contentRef(key, id));
      const docs = await this.#tables.contents.find({ filter: { _id: { $in: refs } }, fields: ['number', ...fields] });
      for (const doc of docs) found.set(doc.number, toContent(doc, fields));
    }
    return ids.map((id) => found.get(id));
  }

  async findByMessageId(account: AccountId, messageId: string): Promise<Row[]> {
    if (messageId === '') return [];
    const hash = messageHash(messageId);
    const uses = await readUses(
      this.#tables,
      account,
      async (key) => {
        const filter = { account: key, messageHash: hash };
        const fields = ['number', 'messageId'] as const;
        const docs = await this.#tables.contents.find({ filter, shard: byMessageId(key), fields });
        return docs.filter((one) => one.messageId === messageId).map((one) => one.number);
      },
      MESSAGE_ID_ROWS_MAX,
    );
    const rows = [...(uses?.rows ?? [])].flatMap(([id, some]) => some.map((row) => toRow(id as MailboxId, row)));
    return rows.slice(0, MESSAGE_ID_ROWS_MAX);
  }
}

function pack(mailbox: Mailbox, upTo: number, rows: readonly RowState[]): Columns {
  const flagSets: FlagSet[] = [];
  const indexes = new Map<string, number>();
  const flags = new Uint32Array(rows.length);
  rows.forEach((row, i) => {
    const name = row.flags.join(' ');
    let index = indexes.get(name);
    if (index === undefined) {
      index = flagSets.push(row.flags.length === 0 ? NO_FLAGS : row.flags) - 1;
      indexes.set(name, index);
    }
    flags[i] = index;
  });
  return {
    ...{ mailbox, upTo: modSeq(upTo), flags, flagSets },
    uids: Uint32Array.from(rows, (row) => row.uid),
    modSeqs: Float64Array.from(rows, (row) => row.modSeq),
    dates: Float64Array.from(rows, (row) => row.date),
    sizes: Uint32Array.from(rows, (row) => row.size),
    contents: Float64Array.from(rows, (row) => row.content),
  };
}

function toContent(doc: Partial<ContentDoc> & Pick<ContentDoc, 'number'>, fields: readonly ContentField[]): Content {
  const content: { -readonly [K in keyof Content]: Content[K] } = {
    ...{ id: contentId(doc.number), layout: [], size: 0, envelope: NO_BYTES, bodystructure: NO_BYTES },
    ...{ structure: NO_BYTES, messageId: '', sentAt: null, origin: '' },
  };
  for (const field of fields) {
    if (field === 'layout') content.layout = decodeLayout(doc.layout!);
    else (content as Record<ContentField, unknown>)[field] = doc[field];
  }
  return content;
}
