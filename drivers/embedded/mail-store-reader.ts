/**
 * Everything that is read from one shard, over any read-only connection: the main thread's for small answers, the scan
 * thread's for large ones. What needs more than one statement runs in one read transaction, so that it is a picture of
 * one moment; the writer commits beside it.
 */

import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { FlagSet } from '../../core/mail/flags.ts';
import {
  type AccountId,
  type ContentId,
  contentId,
  type MailboxId,
  type ModSeq,
  mailboxId,
  modSeq,
  uid,
} from '../../core/mail/ids.ts';
import { decodeLayout } from '../../core/mail/layout.ts';
import type { AccountState, Columns, Content, ContentField, Mailbox, Role, Row } from '../../core/ports/mail-store.ts';
import { LOW } from './mail-store-schema.ts';
import { messageHash } from './mail-store-wire.ts';
import { uidRuns } from './uid-runs.ts';

interface AccountRow {
  readonly key: number;
  readonly mod_seq: number;
  readonly floor: number;
  readonly used_bytes: number;
  readonly used_messages: number;
  readonly quota_bytes: number | null;
  readonly quota_messages: number | null;
}
export interface MailboxRow {
  readonly key: number;
  readonly id: string;
  readonly name: string | null;
  readonly role: string | null;
  readonly uid_validity: number;
  readonly uid_next: number;
  readonly mod_seq: number;
  readonly total: number;
  readonly unseen: number;
  readonly deleted: number;
  readonly bytes: number;
  readonly recent_uid: number;
  readonly tombstones: number;
  readonly floor: number;
}

/** Columns, or the news that there are too many rows to read them in this thread. */
export type ColumnsAnswer = Columns | 'tooMany' | undefined;

/** One result column as a JSON array: SQLite writes and V8 reads it some three times faster than rows are stepped. */
const COLUMN_NAMES = ['uid', 'flags', 'mod_seq', 'date', 'size', 'content'] as const;
const COLUMNS_SQL = `SELECT ${COLUMN_NAMES.map((name) => `json_group_array(${name}) AS ${name}`).join(', ')} FROM (
  SELECT id & ${LOW} AS uid, flags, mod_seq, date, size, content & ${LOW} AS content FROM messages
  WHERE id BETWEEN (?1 << 32) AND (?1 << 32 | ${LOW}) AND content IS NOT NULL)`;

const CONTENT_COLUMNS: Readonly<Record<ContentField, string>> = {
  layout: 'layout',
  size: 'size',
  envelope: 'envelope',
  bodystructure: 'bodystructure',
  structure: 'structure',
  messageId: 'message_id',
  sentAt: 'sent_at',
  origin: 'origin',
};
const NO_BYTES = new Uint8Array(0);
const CONTENTS_AT_ONCE = 1000;
const MESSAGE_ID_ROWS_MAX = 100;
const FLAG_SETS_CACHED = 20_000;

const toMailbox = (row: MailboxRow): Mailbox => ({
  id: mailboxId(row.id),
  name: row.name ?? '',
  role: row.role as Role | null,
  uidValidity: row.uid_validity,
  uidNext: uid(row.uid_next),
  modSeq: modSeq(row.mod_seq),
  total: row.total,
  unseen: row.unseen,
  deleted: row.deleted,
  bytes: row.bytes,
  recentUid: uid(row.recent_uid),
});

export class ShardReader {
  readonly #db: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  readonly #flagSets = new Map<number, FlagSet>();

  constructor(db: DatabaseSync) {
    this.#db = db;
  }

  /** A cached statement whose rows are arrays. */
  arrays(sql: string): StatementSync {
    return this.#statement(`${sql} `, true);
  }

  objects(sql: string): StatementSync {
    return this.#statement(sql, false);
  }

  #statement(sql: string, asArrays: boolean): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#db.prepare(sql);
      statement.setReturnArrays(asArrays);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  /** Runs `read` on one picture of the database. */
  snapshot<T>(read: () => T): T {
    this.objects('BEGIN').run();
    try {
      return read();
    } finally {
      // An error of the file has ended the transaction already; it is what the caller must hear of.
      if (this.#db.isTransaction) this.objects('COMMIT').run();
    }
  }

  accountRow(account: AccountId): AccountRow | undefined {
    return this.objects(
      'SELECT key, mod_seq, floor, used_bytes, used_messages, quota_bytes, quota_messages FROM accounts WHERE id = ?',
    ).get(account) as AccountRow | undefined;
  }

  account(account: AccountId): AccountState | undefined {
    const row = this.accountRow(account);
    if (row === undefined) return undefined;
    return {
      account,
      modSeq: modSeq(row.mod_seq),
      floor: modSeq(row.floor),
      usedBytes: row.used_bytes,
      usedMessages: row.used_messages,
      quotaBytes: row.quota_bytes,
      quotaMessages: row.quota_messages,
    };
  }

  mailboxes(account: AccountId): Mailbox[] {
    const rows = this.objects(
      `SELECT m.* FROM accounts a JOIN mailboxes m ON m.account = a.key WHERE a.id = ? AND m.name IS NOT NULL
       ORDER BY m.name <> 'INBOX', m.name`,
    ).all(account) as unknown as MailboxRow[];
    return rows.map(toMailbox);
  }

  /** Also a deleted one, which has no name. */
  mailboxRow(accountKey: number, mailbox: MailboxId): MailboxRow | undefined {
    return this.objects('SELECT * FROM mailboxes WHERE account = ? AND id = ?').get(accountKey, mailbox) as
      | MailboxRow
      | undefined;
  }

  subscriptions(account: AccountId): string[] {
    const rows = this.arrays(
      'SELECT s.name FROM accounts a JOIN subscriptions s ON s.account = a.key WHERE a.id = ? ORDER BY s.name',
    ).all(account) as unknown as [string][];
    return rows.map(([name]) => name);
  }

  flagSet(id: number): FlagSet {
    let set = this.#flagSets.get(id);
    if (set === undefined) {
      const row = this.arrays('SELECT names FROM flag_sets WHERE id = ?').get(id) as unknown as [string] | undefined;
      if (row === undefined) throw new Error(`flag set ${id} is missing`);
      set = Object.freeze(JSON.parse(row[0]) as string[]);
      // Ids are never given again, so an entry can't grow stale; only their number has to stay bounded.
      if (this.#flagSets.size >= FLAG_SETS_CACHED) this.#flagSets.clear();
      this.#flagSets.set(id, set);
    }
    return set;
  }

  columns(account: AccountId, mailbox: MailboxId, rowsMax: number): ColumnsAnswer {
    return this.snapshot(() => {
      const owner = this.accountRow(account);
      const row = owner && this.mailboxRow(owner.key, mailbox);
      if (owner === undefined || row === undefined || row.name === null) return undefined;
      if (row.total + row.tombstones > rowsMax) return 'tooMany';
      const json = this.objects(COLUMNS_SQL).get(row.key) as Record<(typeof COLUMN_NAMES)[number], string>;
      const flags = Uint32Array.from(JSON.parse(json.flags) as number[]);
      return {
        mailbox: toMailbox(row),
        upTo: modSeq(owner.mod_seq),
        uids: Uint32Array.from(JSON.parse(json.uid) as number[]),
        flagSets: this.#numberFlagSets(flags),
        flags,
        modSeqs: Float64Array.from(JSON.parse(json.mod_seq) as number[]),
        dates: Float64Array.from(JSON.parse(json.date) as number[]),
        sizes: Uint32Array.from(JSON.parse(json.size) as number[]),
        contents: Float64Array.from(JSON.parse(json.content) as number[]),
      };
    });
  }

  /** Turns flag set ids into indexes into the returned list, in place. */
  #numberFlagSets(flags: Uint32Array): FlagSet[] {
    const sets: FlagSet[] = [];
    const indexes = new Map<number, number>();
    for (let i = 0; i < flags.length; i++) {
      const id = flags[i]!;
      let index = indexes.get(id);
      if (index === undefined) {
        index = sets.push(this.flagSet(id)) - 1;
        indexes.set(id, index);
      }
      flags[i] = index;
    }
    return sets;
  }

  rows(account: AccountId, mailbox: MailboxId, uids: Uint32Array): Row[] {
    return this.snapshot(() => {
      const owner = this.accountRow(account);
      const row = owner && this.mailboxRow(owner.key, mailbox);
      if (row === undefined || row.name === null) return [];
      const found: Row[] = [];
      const select = this.arrays(
        `SELECT id & ${LOW}, flags, mod_seq, created, date, size, content & ${LOW} FROM messages
         WHERE id BETWEEN (?1 << 32 | ?2) AND (?1 << 32 | ?3) AND content IS NOT NULL`,
      );
      for (const run of uidRuns(uids)) {
        for (const values of select.all(row.key, run.first, run.last) as unknown as number[][])
          if (run.has(values[0]!)) found.push(this.toRow(mailbox, values));
      }
      return found;
    });
  }

  /** From uid, flags, mod_seq, created, date, size, content. */
  toRow(mailbox: MailboxId, values: readonly number[]): Row {
    return {
      mailbox,
      uid: uid(values[0]!),
      flags: this.flagSet(values[1]!),
      modSeq: modSeq(values[2]!),
      created: modSeq(values[3]!),
      internalDate: values[4]!,
      size: values[5]!,
      content: contentId(values[6]!),
    };
  }

  contents(account: AccountId, ids: readonly ContentId[], fields: readonly ContentField[]): (Content | undefined)[] {
    const owner = this.accountRow(account);
    if (owner === undefined) return ids.map(() => undefined);
    const select = this.arrays(
      `SELECT c.id IS NOT NULL${fields.map((field) => `, c.${CONTENT_COLUMNS[field]}`).join('')}
       FROM json_each(?2) j LEFT JOIN contents c ON c.id = (?1 << 32 | j.value)`,
    );
    const found: (Content | undefined)[] = [];
    for (let at = 0; at < ids.length; at += CONTENTS_AT_ONCE) {
      const some = ids.slice(at, at + CONTENTS_AT_ONCE);
      const rows = select.all(owner.key, JSON.stringify(some)) as unknown as unknown[][];
      for (let i = 0; i < rows.length; i++) found.push(toContent(some[i]!, fields, rows[i]!));
    }
    return found;
  }

  findByMessageId(account: AccountId, messageId: string): Row[] {
    if (messageId === '') return [];
    const rows = this.arrays(
      `SELECT m.id & ${LOW}, m.flags, m.mod_seq, m.created, m.date, m.size, m.content & ${LOW}, b.id
       FROM accounts a JOIN contents c ON c.message_hash = ?2 AND c.message_id = ?3 AND c.id >> 32 = a.key
       JOIN messages m ON m.content = c.id JOIN mailboxes b ON b.key = m.mailbox
       WHERE a.id = ?1 ORDER BY m.id LIMIT ${MESSAGE_ID_ROWS_MAX}`,
    ).all(account, messageHash(account, messageId), messageId) as unknown as [...number[], string][];
    return rows.map((values) => this.toRow(mailboxId(values[7] as string), values as unknown as number[]));
  }

  accounts(cursor: AccountId | null, limit: number): AccountId[] {
    const rows = this.arrays('SELECT id FROM accounts WHERE id > ? ORDER BY id LIMIT ?').all(
      cursor ?? '',
      limit,
    ) as unknown as [AccountId][];
    return rows.map(([id]) => id);
  }

  counts(): { readonly accounts: number; readonly messages: number } {
    return this.objects(
      'SELECT count(*) AS accounts, ifnull(sum(used_messages), 0) AS messages FROM accounts WHERE id IS NOT NULL',
    ).get() as { accounts: number; messages: number };
  }

  /** The mailbox itself, or all of the account's (deleted ones too) with a change behind `since`. */
  changedMailboxes(accountKey: number, mailbox: MailboxId | null, since: ModSeq): MailboxRow[] {
    if (mailbox === null)
      return this.objects('SELECT * FROM mailboxes WHERE account = ? AND mod_seq > ?').all(
        accountKey,
        since,
      ) as unknown as MailboxRow[];
    const row = this.mailboxRow(accountKey, mailbox);
    return row === undefined ? [] : [row];
  }
}

function toContent(id: ContentId, fields: readonly ContentField[], row: readonly unknown[]): Content | undefined {
  if (row[0] === 0) return undefined;
  const content: { -readonly [K in keyof Content]: Content[K] } = {
    id,
    layout: [],
    size: 0,
    envelope: NO_BYTES,
    bodystructure: NO_BYTES,
    structure: NO_BYTES,
    messageId: '',
    sentAt: null,
    origin: '',
  };
  for (let i = 0; i < fields.length; i++) {
    const field = fields[i]!;
    const value = row[i + 1];
    if (field === 'layout') content.layout = decodeLayout(value as Uint8Array);
    else (content as Record<ContentField, unknown>)[field] = value;
  }
  return content;
}
