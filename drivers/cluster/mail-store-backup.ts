/**
 * A copy of all accounts in a file of BSON documents, one behind the other: for each account its contents, and then in
 * one record everything else as it was at one modSeq. Restoring makes the account's document last, so that an account is
 * there wholly or not at all, and running it again goes on where it stopped.
 */

import { createReadStream } from 'node:fs';
import { mkdir, open } from 'node:fs/promises';
import { join } from 'node:path';
import { BSON } from 'mongodb';
import { TemporaryError } from '../../core/mail/errors.ts';
import type { AccountId } from '../../core/mail/ids.ts';
import { applyEffects } from './mail-store-apply.ts';
import { readAccounts } from './mail-store-lists.ts';
import { decodePart, Effects, encodeParts, type RowState } from './mail-store-log.ts';
import {
  type AccountDoc,
  type ContentDoc,
  contentRef,
  type LogPart,
  type MailTables,
  mailboxRef,
  NEVER,
  newKey,
  type ReceiptDoc,
  under,
} from './mail-store-schema.ts';
import { countRows, readWhole, type Whole } from './mail-store-whole.ts';
import { toBson } from './mail-store-wire.ts';

const FILE = 'mail-store.bson';
const FORMAT = 1;
const ACCOUNTS = 100;
const SCANNED = 200;
const RECORD_BYTES_MAX = 64 * 1024 * 1024;

type Kept = Omit<AccountDoc, 'key' | 'rev' | 'owner' | 'until' | 'due' | 'log' | 'applied'>;

type FileRecord =
  | { readonly t: 'start'; readonly format: number }
  | { readonly t: 'content'; readonly content: Omit<ContentDoc, '_id' | 'account' | 'dying'> }
  /** Rows of a modSeq of their own. */
  | { readonly t: 'part'; readonly modSeq: number; readonly part: LogPart }
  | { readonly t: 'account'; readonly account: Kept; readonly floors: readonly (readonly [string, number])[] }
  | { readonly t: 'end'; readonly accounts: number };

export async function writeBackup(tables: MailTables, destination: string): Promise<void> {
  await mkdir(destination, { recursive: true });
  const file = await open(join(destination, FILE), 'wx');
  try {
    let accounts = 0;
    const write = async (record: FileRecord): Promise<void> => {
      await file.writeFile(toBson(record));
    };
    await write({ t: 'start', format: FORMAT });
    for (let page = await readAccounts(tables, null, ACCOUNTS); page.length > 0; ) {
      for (const account of page) if (await writeAccount(tables, account, write)) accounts++;
      page = await readAccounts(tables, page.at(-1)!, ACCOUNTS);
    }
    await write({ t: 'end', accounts });
    await file.sync();
  } finally {
    await file.close();
  }
}

/** False where it was deleted meanwhile. */
async function writeAccount(
  tables: MailTables,
  account: AccountId,
  write: (record: FileRecord) => Promise<void>,
): Promise<boolean> {
  const whole = await readWhole(tables, account);
  if (whole === undefined) return false;
  const missing = new Set<number>();
  const wanted = new Set<number>();
  for (const rows of whole.rows.values()) for (const { content } of rows) if (content !== 0) wanted.add(content);
  const numbers = [...wanted];
  for (let at = 0; at < numbers.length; at += SCANNED) {
    const some = numbers.slice(at, at + SCANNED);
    const docs = await tables.contents.find({
      filter: { _id: { $in: some.map((one) => contentRef(whole.doc.key, one)) } },
    });
    const there = new Set(docs.map(({ number }) => number));
    for (const number of some) if (!there.has(number)) missing.add(number);
    for (const { _id, account: _, dying: __, ...content } of docs) await write({ t: 'content', content });
  }
  const { modSeq } = whole.doc;
  let usedBytes = 0;
  let usedMessages = 0;
  const lists = await listsOf(tables, whole);
  for (const mailbox of whole.mailboxes) {
    // Expunged and collected since: it is left out like one that was expunged before.
    const rows = (whole.rows.get(mailbox.id) ?? []).filter(({ content }) => !missing.has(content));
    const counted = countRows(rows, mailbox);
    usedBytes += counted.bytes;
    usedMessages += counted.total;
    lists.mailboxes.set(mailbox.id, { value: { ...mailbox, ...counted }, modSeq });
    await writeRows(mailbox.id, rows, write);
  }
  for (const part of encodeParts(lists)) await write({ t: 'part', modSeq, part });
  const { key: _, rev: __, owner: ___, until: ____, due: _____, log: ______, applied: _______, ...kept } = whole.doc;
  await write({ t: 'account', account: { ...kept, usedBytes, usedMessages }, floors: [...whole.floors] });
  return true;
}

/** Each modSeq's rows in a part, since the compact form names the modSeq once. */
async function writeRows(
  mailbox: string,
  rows: readonly RowState[],
  write: (record: FileRecord) => Promise<void>,
): Promise<void> {
  const byModSeq = new Map<number, Effects>();
  for (const row of rows) {
    let effects = byModSeq.get(row.modSeq);
    if (effects === undefined) {
      effects = new Effects();
      byModSeq.set(row.modSeq, effects);
    }
    effects.putRow(mailbox, row);
  }
  for (const [modSeq, effects] of byModSeq)
    for (const part of encodeParts(effects)) await write({ t: 'part', modSeq, part });
}

/** What else belongs to the account, with the names it has under the key. */
async function listsOf(tables: MailTables, { doc, effects }: Whole): Promise<Effects> {
  const lists = new Effects();
  const { modSeq } = doc;
  const all = under(doc.key);
  for (const { name, on } of await tables.subscriptions.find({ filter: { _id: all } }))
    lists.subscriptions.set(name, { value: on, modSeq });
  for (let last = all.$gte; ; ) {
    const docs: ReceiptDoc[] = await tables.receipts.find({
      ...{ filter: { _id: { $gt: last, $lt: all.$lt } }, sort: { _id: 1 }, limit: SCANNED },
    });
    for (const { _id, modSeq: at, ...receipt } of docs)
      if (at <= modSeq) lists.receipts.set(_id, { value: { id: _id, ...receipt }, modSeq });
    if (docs.length < SCANNED) break;
    last = docs.at(-1)!._id;
  }
  for (const { _id, pending, modSeq: at, number, topic, key, payload } of await tables.outbox.find({
    filter: { _id: all },
  }))
    if (pending !== '' && at <= modSeq)
      lists.outbox.set(_id, { value: { id: _id, number, topic, key, payload }, modSeq });
  for (const [name, { value }] of effects.subscriptions) lists.subscriptions.set(name, { value, modSeq });
  for (const [id, { value }] of effects.receipts) lists.receipts.set(id, { value, modSeq });
  return renamed(lists, (id) => id.slice(doc.key.length));
}

/** With other names for what is named by the account's key. */
function renamed(lists: Effects, name: (id: string) => string): Effects {
  const made = new Effects();
  made.add(lists);
  made.receipts.clear();
  made.outbox.clear();
  for (const [id, { value, modSeq }] of lists.receipts)
    made.receipts.set(name(id), { value: { ...value, id: name(id) }, modSeq });
  for (const [id, { value, modSeq }] of lists.outbox)
    made.outbox.set(name(id), { value: { ...value, id: name(id) }, modSeq });
  return made;
}

/** Makes the accounts of a backup that are not there yet. */
export async function readBackup(tables: MailTables, folder: string, now: number): Promise<void> {
  let restoring: Restoring | undefined;
  let accounts: number | undefined;
  for await (const record of records(join(folder, FILE))) {
    if (record.t === 'start') {
      if (record.format !== FORMAT) throw unusable(folder, `its format is ${record.format}, not ${FORMAT}`);
    } else if (record.t === 'end') accounts = record.accounts;
    else {
      restoring ??= new Restoring(tables, now);
      await restoring.take(record);
      if (record.t === 'account') restoring = undefined;
    }
  }
  if (accounts === undefined) throw unusable(folder, 'its end is missing');
}

/** One account on its way: nothing shows it before its own document is made. */
class Restoring {
  readonly #tables: MailTables;
  readonly #now: number;
  /** Contents come before the account's id is known. */
  readonly #contents: Omit<ContentDoc, '_id' | 'account' | 'dying'>[] = [];
  readonly #effects = new Effects();

  constructor(tables: MailTables, now: number) {
    this.#tables = tables;
    this.#now = now;
  }

  async take(record: Extract<FileRecord, { t: 'content' | 'part' | 'account' }>): Promise<void> {
    if (record.t === 'content') this.#contents.push(record.content);
    else if (record.t === 'part') decodePart(record.part, record.modSeq, this.#effects);
    else await this.#make(record.account, record.floors);
  }

  async #make(kept: Kept, floors: readonly (readonly [string, number])[]): Promise<void> {
    const account = kept._id as AccountId;
    if ((await this.#tables.accounts.findOne({ _id: account }, { fields: [] })) !== undefined) return;
    const key = newKey(account);
    await this.#tables.contents.insertMany(
      this.#contents.map((content) => ({
        ...{ _id: contentRef(key, content.number), account: key, dying: false, ...content },
      })),
    );
    const effects = renamed(this.#effects, (id) => key + id);
    await applyEffects(this.#tables, { account, key, now: this.#now, applied: 0 }, effects);
    for (const [mailbox, floor] of floors)
      await this.#tables.mailboxes.updateOne({ _id: mailboxRef(key, mailbox) }, { $max: { floor } });
    await this.#tables.accounts.insertOne({
      ...{ ...kept, key, rev: 0, owner: null, until: 0, due: NEVER, log: [], applied: kept.modSeq },
    });
  }
}

async function* records(file: string): AsyncGenerator<FileRecord> {
  let bytes = Buffer.alloc(0);
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 })) {
    bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk]);
    while (bytes.length >= 4) {
      const size = bytes.readInt32LE(0);
      if (size < 5 || size > RECORD_BYTES_MAX) throw unusable(file, 'a record has no valid length');
      if (bytes.length < size) break;
      yield BSON.deserialize(bytes.subarray(0, size), { promoteBuffers: true }) as FileRecord;
      bytes = bytes.subarray(size);
    }
  }
  if (bytes.length > 0) throw unusable(file, 'it ends within a record');
}

const unusable = (file: string, detail: string): TemporaryError =>
  new TemporaryError('storeUnavailable', { file, detail: `the backup cannot be restored: ${detail}` });
