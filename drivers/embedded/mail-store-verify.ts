/**
 * Recounts everything that a shard keeps twice (counters, references, high-water marks) from the rows. With `fix`, in the
 * writer, it also writes what it counted; without, on a read-only connection, it only tells. A check that the file is too
 * broken for becomes a finding itself, and the others go on.
 */

import type { DatabaseSync } from 'node:sqlite';
import { decodeLayout, layoutBlobs } from '../../core/mail/layout.ts';
import type { Damage } from '../../core/ports/blob-store.ts';
import { LOW } from './mail-store-schema.ts';
import { writing } from './mail-store-statements.ts';

/** Findings of one kind that are listed one by one. */
const LISTED_MAX = 1000;

const COUNTED = ['total', 'unseen', 'deleted', 'bytes', 'tombstones', 'uid_next', 'mod_seq'] as const;
type Counted = Record<(typeof COUNTED)[number], number>;
interface MailboxCount {
  readonly key: number;
  readonly account: string | null;
  readonly name: string | null;
  readonly stored: Counted;
  readonly counted: Counted;
}

class Inspection {
  readonly found: Damage[] = [];
  readonly #db: DatabaseSync;
  readonly #shard: string;
  readonly #fix: boolean;

  constructor(db: DatabaseSync, shard: string, fix: boolean) {
    this.#db = db;
    this.#shard = shard;
    this.#fix = fix;
  }

  check(subject: string, run: () => void): void {
    try {
      run();
    } catch (error) {
      this.#tell(subject, (error as Error).message, false);
    }
  }

  #tell(subject: string, detail: string, repaired = this.#fix): void {
    this.found.push({ what: `${this.#shard}, ${subject}`, detail, repaired });
  }

  /** Messages that can't be shown: what they refer to is missing. Fixed by taking them for expunged. */
  messages(): void {
    const lost = this.#db
      .prepare(
        `SELECT m.id >> 32 AS mailbox, m.id & ${LOW} AS uid, a.key AS account, a.id AS owner, b.name,
           CASE WHEN b.key IS NULL THEN 'mailbox' WHEN c.id IS NULL THEN 'content' ELSE 'flag set' END AS missing
         FROM messages m LEFT JOIN mailboxes b ON b.key = m.mailbox LEFT JOIN accounts a ON a.key = b.account
           LEFT JOIN contents c ON c.id = m.content LEFT JOIN flag_sets f ON f.id = m.flags
         WHERE b.key IS NULL OR (m.content IS NOT NULL AND (c.id IS NULL OR f.id IS NULL)) LIMIT ${LISTED_MAX}`,
      )
      .all() as unknown as {
      mailbox: number;
      uid: number;
      account: number | null;
      owner: string | null;
      name: string | null;
      missing: 'mailbox' | 'content' | 'flag set';
    }[];
    if (lost.length === 0) return;
    for (const { mailbox, uid, account, owner, name, missing } of lost) {
      this.#tell(`account ${owner}, mailbox ${name}`, `message ${uid} refers to a ${missing} that is not there`);
      if (!this.#fix) continue;
      if (missing === 'mailbox') this.#run('DELETE FROM messages WHERE id = (?1 << 32 | ?2)', mailbox, uid);
      else {
        this.#run('UPDATE accounts SET mod_seq = mod_seq + 1 WHERE key = ?', account);
        const change = missing === 'content' ? 'content = NULL, size = 0, flags = 0' : 'flags = ?4';
        this.#run(
          `UPDATE messages SET ${change}, mod_seq = (SELECT mod_seq FROM accounts WHERE key = ?3) WHERE id = (?1 << 32 | ?2)`,
          mailbox,
          uid,
          account,
          ...(missing === 'content' ? [] : [this.#noFlags()]),
        );
      }
    }
  }

  #noFlags(): number {
    this.#run("INSERT OR IGNORE INTO flag_sets (names, seen, deleted) VALUES ('[]', 0, 0)");
    return (this.#db.prepare("SELECT id FROM flag_sets WHERE names = '[]'").get() as { id: number }).id;
  }

  #run(sql: string, ...values: (number | string | Uint8Array | null)[]): void {
    writing(this.#db, sql).run(...values);
  }

  mailboxes(): void {
    const rows = this.#db
      .prepare(
        `SELECT b.*, a.id AS owner, sum(m.content IS NOT NULL) AS c_total, sum(m.content IS NOT NULL AND NOT f.seen) AS c_unseen,
           sum(m.content IS NOT NULL AND f.deleted) AS c_deleted, total(m.size) AS c_bytes, sum(m.content IS NULL) AS c_tombstones,
           max(m.id & ${LOW}) + 1 AS c_uid_next, max(m.mod_seq) AS c_mod_seq
         FROM mailboxes b LEFT JOIN accounts a ON a.key = b.account
           LEFT JOIN messages m ON m.id BETWEEN (b.key << 32) AND (b.key << 32 | ${LOW})
           LEFT JOIN flag_sets f ON f.id = m.flags
         GROUP BY b.key`,
      )
      .iterate() as Iterable<Record<string, unknown>>;
    const wrong: MailboxCount[] = [];
    for (const row of rows) {
      const stored = Object.fromEntries(COUNTED.map((name) => [name, row[name]])) as Counted;
      const empty = row.c_uid_next === null;
      const counted = Object.fromEntries(COUNTED.map((name) => [name, empty ? 0 : (row[`c_${name}`] ?? 0)])) as Counted;
      // Marks may lie above the rows: what was highest may be gone.
      counted.uid_next = Math.max(stored.uid_next, counted.uid_next);
      counted.mod_seq = Math.max(stored.mod_seq, counted.mod_seq);
      if (COUNTED.some((name) => stored[name] !== counted[name]))
        wrong.push({
          key: row.key as number,
          account: row.owner as string | null,
          name: row.name as string | null,
          stored,
          counted,
        });
    }
    for (const { key, account, name, stored, counted } of wrong) {
      const differing = COUNTED.filter((column) => stored[column] !== counted[column]);
      const detail = differing.map((column) => `${column} is ${stored[column]}, counted ${counted[column]}`).join('; ');
      this.#tell(`account ${account}, mailbox ${name ?? '(deleted)'}`, detail);
      if (this.#fix)
        this.#run(
          `UPDATE mailboxes SET ${COUNTED.map((column) => `${column} = ?`).join(', ')} WHERE key = ?`,
          ...COUNTED.map((column) => counted[column]),
          key,
        );
    }
  }

  accounts(): void {
    const rows = this.#db
      .prepare(
        `SELECT * FROM (
           SELECT a.key, a.id, a.used_bytes, a.used_messages, a.mod_seq, a.last_content, a.uid_validity,
             total(b.bytes) AS bytes, total(b.total) AS messages, max(a.mod_seq, ifnull(max(b.mod_seq), 0)) AS top,
             max(a.uid_validity, ifnull(max(b.uid_validity), 0)) AS validity,
             max(a.last_content, ifnull((SELECT max(id) & ${LOW} FROM contents WHERE id BETWEEN (a.key << 32) AND (a.key << 32 | ${LOW})), 0)) AS content
           FROM accounts a LEFT JOIN mailboxes b ON b.account = a.key WHERE a.id IS NOT NULL GROUP BY a.key)
         WHERE used_bytes <> bytes OR used_messages <> messages OR mod_seq <> top OR uid_validity <> validity OR last_content <> content`,
      )
      .all() as unknown as Record<string, number>[];
    for (const row of rows) {
      const pairs = [
        ['used_bytes', 'bytes'],
        ['used_messages', 'messages'],
        ['mod_seq', 'top'],
        ['uid_validity', 'validity'],
        ['last_content', 'content'],
      ] as const;
      const differing = pairs.filter(([stored, counted]) => row[stored] !== row[counted]);
      this.#tell(
        `account ${row.id}`,
        differing.map(([stored, counted]) => `${stored} is ${row[stored]}, counted ${row[counted]}`).join('; '),
      );
      if (this.#fix)
        this.#run(
          `UPDATE accounts SET ${pairs.map(([stored]) => `${stored} = ?`).join(', ')} WHERE key = ?`,
          ...pairs.map(([, counted]) => row[counted]!),
          row.key!,
        );
    }
  }

  /** Contents that no message refers to and the collector does not know of: space, not mail, is lost. */
  contents(): void {
    const unused = `SELECT c.id FROM contents c WHERE NOT EXISTS (SELECT 1 FROM messages m WHERE m.content = c.id)
      AND NOT EXISTS (SELECT 1 FROM dying d WHERE d.content = c.id)
      AND EXISTS (SELECT 1 FROM accounts a WHERE a.key = c.id >> 32 AND a.id IS NOT NULL)`;
    const { count } = this.#db.prepare(`SELECT count(*) AS count FROM (${unused})`).get() as { count: number };
    if (count === 0) return;
    this.#tell('contents', `${count} without a message`);
    if (this.#fix) this.#run(`INSERT INTO dying ${unused}`);
  }

  /** Blobs that a content needs must be linked, or the blob store would collect them. */
  blobs(): void {
    const linked = this.#db.prepare('SELECT 1 FROM content_blobs WHERE blob = ?3 AND content = (?1 << 32 | ?2)');
    const layouts = this.#db
      .prepare(
        `SELECT c.id >> 32 AS account, c.id & ${LOW} AS number, a.id AS owner, c.layout FROM contents c
         LEFT JOIN accounts a ON a.key = c.id >> 32`,
      )
      .iterate() as Iterable<{ account: number; number: number; owner: string | null; layout: Uint8Array }>;
    const missing: { account: number; number: number; blob: Buffer }[] = [];
    for (const { account, number, owner, layout } of layouts) {
      for (const ref of layoutBlobs(decodeLayout(layout))) {
        const blob = Buffer.from(ref, 'hex');
        if (linked.get(account, number, blob) !== undefined) continue;
        this.#tell(`account ${owner}, content ${number}`, `blob ${ref} is not linked`);
        if (missing.push({ account, number, blob }) >= LISTED_MAX) break;
      }
    }
    if (this.#fix)
      for (const { account, number, blob } of missing)
        this.#run('INSERT OR IGNORE INTO content_blobs VALUES (?3, (?1 << 32 | ?2))', account, number, blob);
    const dangling = 'NOT EXISTS (SELECT 1 FROM contents c WHERE c.id = content_blobs.content)';
    const { count } = this.#db.prepare(`SELECT count(*) AS count FROM content_blobs WHERE ${dangling}`).get() as {
      count: number;
    };
    if (count === 0) return;
    this.#tell('links to blobs', `${count} of contents that are gone`);
    if (this.#fix) this.#run(`DELETE FROM content_blobs WHERE ${dangling}`);
  }
}

/** @param shard the file's name for the findings */
export function inspect(db: DatabaseSync, shard: string, fix: boolean): Damage[] {
  const inspection = new Inspection(db, shard, fix);
  inspection.check('messages', () => inspection.messages());
  inspection.check('mailboxes', () => inspection.mailboxes());
  inspection.check('accounts', () => inspection.accounts());
  inspection.check('contents', () => inspection.contents());
  inspection.check('links to blobs', () => inspection.blobs());
  return inspection.found;
}
