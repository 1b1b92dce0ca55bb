/**
 * The collector of one shard, in the writer thread: small batches until a deadline, so that commits get in between. Each
 * batch is a transaction's part like any other call; where it stops does not matter.
 */

import type { DatabaseSync } from 'node:sqlite';
import { decodeLayout, layoutBlobs } from '../../core/mail/layout.ts';
import {
  LOW,
  NEEDS_GC,
  RECEIPT_AGE_MS,
  REQUEST_AGE_MS,
  TOMBSTONE_AGE_MS,
  TOMBSTONES_KEPT,
} from './mail-store-schema.ts';
import { writing } from './mail-store-statements.ts';

const BATCH = 200;

/** One batch; true when it did something. */
type Step = () => boolean;

export class Collector {
  readonly #db: DatabaseSync;
  readonly #sql;

  constructor(db: DatabaseSync) {
    this.#db = db;
    const range = `BETWEEN (?1 << 32) AND (?1 << 32 | ${LOW})`;
    this.#sql = {
      dying: db.prepare(
        `SELECT d.content >> 32 AS account, d.content & ${LOW} AS number,
           EXISTS (SELECT 1 FROM messages m WHERE m.content = d.content) AS used
         FROM dying d LIMIT ${BATCH}`,
      ),
      layout: db.prepare('SELECT layout FROM contents WHERE id = (?1 << 32 | ?2)'),
      dropBlob: writing(db, 'DELETE FROM content_blobs WHERE blob = ?3 AND content = (?1 << 32 | ?2)'),
      dropContent: writing(db, 'DELETE FROM contents WHERE id = (?1 << 32 | ?2)'),
      dropDying: writing(db, 'DELETE FROM dying WHERE content = (?1 << 32 | ?2)'),

      purgeAccount: db.prepare('SELECT key FROM accounts WHERE id IS NULL LIMIT 1'),
      purgeMailbox: db.prepare('SELECT key FROM mailboxes WHERE account = ? LIMIT 1'),
      purgeMessages: writing(
        db,
        `DELETE FROM messages WHERE id IN (SELECT id FROM messages WHERE id ${range} LIMIT ${BATCH * 5})`,
      ),
      dropMailbox: writing(db, 'DELETE FROM mailboxes WHERE key = ?'),
      purgeContents: db.prepare(`SELECT id & ${LOW} AS number FROM contents WHERE id ${range} LIMIT ${BATCH}`),
      purgeReceipts: writing(
        db,
        `DELETE FROM receipts WHERE account = ?1 AND key IN (SELECT key FROM receipts WHERE account = ?1 LIMIT ${BATCH})`,
      ),

      tombstones: db.prepare(
        `SELECT key, account, name, tombstones FROM mailboxes WHERE (${NEEDS_GC}) AND key > ? ORDER BY key LIMIT 1`,
      ),
      oldTombstones: db.prepare(
        `SELECT max(mod_seq) AS floor, count(*) AS count FROM (
           SELECT mod_seq, date FROM messages WHERE mailbox = ?1 AND content IS NULL ORDER BY mod_seq, id LIMIT ?2)
         WHERE date < ?3`,
      ),
      dropTombstones: writing(
        db,
        `DELETE FROM messages WHERE id IN (
           SELECT id FROM (SELECT id, date FROM messages WHERE mailbox = ?1 AND content IS NULL ORDER BY mod_seq, id LIMIT ?2)
           WHERE date < ?3)`,
      ),
      raiseMailboxFloor: writing(
        db,
        'UPDATE mailboxes SET floor = max(floor, ?2), tombstones = tombstones - ?3 WHERE key = ?1',
      ),
      raiseFloor: writing(db, 'UPDATE accounts SET floor = max(floor, ?2) WHERE key = ?1'),

      dropReceipts: writing(
        db,
        `DELETE FROM receipts WHERE (account, key) IN (SELECT account, key FROM receipts WHERE at < ? LIMIT ${BATCH})`,
      ),
      dropRequests: writing(
        db,
        `DELETE FROM requests WHERE rowid IN (SELECT rowid FROM requests WHERE at < ? LIMIT ${BATCH})`,
      ),
    };
  }

  /** True when the time was over before everything was done. */
  run(now: number, budgetMs: number): boolean {
    const deadline = performance.now() + budgetMs;
    const steps: readonly Step[] = [
      () => this.#contents(),
      () => this.purge(),
      () => this.#tombstones(now),
      () => Number(this.#sql.dropReceipts.run(now - RECEIPT_AGE_MS).changes) > 0,
      () => Number(this.#sql.dropRequests.run(now - REQUEST_AGE_MS).changes) > 0,
    ];
    for (const step of steps) {
      while (step()) if (performance.now() >= deadline) return true;
    }
    return false;
  }

  /** Contents whose last message is gone; those that got another one meanwhile stay. */
  #contents(): boolean {
    const rows = this.#sql.dying.all() as unknown as { account: number; number: number; used: 0 | 1 }[];
    for (const { account, number, used } of rows) {
      if (used === 0) this.#dropContent(account, number);
      this.#sql.dropDying.run(account, number);
    }
    return rows.length > 0;
  }

  #dropContent(account: number, number: number): void {
    const row = this.#sql.layout.get(account, number) as { layout: Uint8Array } | undefined;
    if (row === undefined) return;
    for (const ref of layoutBlobs(decodeLayout(row.layout)))
      this.#sql.dropBlob.run(account, number, Buffer.from(ref, 'hex'));
    this.#sql.dropContent.run(account, number);
  }

  /** One batch of the oldest deleted account; the account's row goes last. */
  purge(): boolean {
    const account = this.#sql.purgeAccount.get() as { key: number } | undefined;
    if (account === undefined) return false;
    const { key } = account;
    const mailbox = this.#sql.purgeMailbox.get(key) as { key: number } | undefined;
    if (mailbox !== undefined) {
      if (Number(this.#sql.purgeMessages.run(mailbox.key).changes) === 0) this.#sql.dropMailbox.run(mailbox.key);
      return true;
    }
    const contents = this.#sql.purgeContents.all(key) as unknown as { number: number }[];
    for (const { number } of contents) {
      this.#dropContent(key, number);
      this.#sql.dropDying.run(key, number);
    }
    if (contents.length > 0 || Number(this.#sql.purgeReceipts.run(key).changes) > 0) return true;
    writing(this.#db, 'DELETE FROM subscriptions WHERE account = ?').run(key);
    writing(this.#db, 'DELETE FROM requests WHERE account = ?').run(key);
    writing(this.#db, 'DELETE FROM outbox WHERE account = ?').run(key);
    writing(this.#db, 'DELETE FROM accounts WHERE key = ?').run(key);
    return true;
  }

  /**
   * Tombstones that are old and, but for a deleted mailbox, more than are kept. What is dropped can't be told to anyone
   * any more, so the floors rise to it. The row of a deleted mailbox goes with its last tombstone.
   */
  #tombstones(now: number): boolean {
    const cutoff = Math.floor((now - TOMBSTONE_AGE_MS) / 1000);
    let key = 0;
    for (;;) {
      const mailbox = this.#sql.tombstones.get(key) as
        | { key: number; account: number; name: string | null; tombstones: number }
        | undefined;
      if (mailbox === undefined) return false;
      key = mailbox.key;
      const gone = mailbox.name === null;
      const surplus = Math.min(BATCH * 5, gone ? mailbox.tombstones : mailbox.tombstones - TOMBSTONES_KEPT);
      const old = this.#sql.oldTombstones.get(key, surplus, cutoff) as { floor: number | null; count: number };
      if (old.count > 0) {
        this.#sql.dropTombstones.run(key, surplus, cutoff);
        this.#sql.raiseMailboxFloor.run(key, old.floor, old.count);
        this.#sql.raiseFloor.run(mailbox.account, old.floor);
      }
      if (gone && old.count === mailbox.tombstones) this.#sql.dropMailbox.run(key);
      if (old.count > 0) return true;
    }
  }
}
