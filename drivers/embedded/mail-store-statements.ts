/** The statements of a commit, prepared once for the writer's connection. */

import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { LOW } from './mail-store-schema.ts';

/**
 * A statement that writes. `run` also reads the connection's last rowid, and a packed key of the two-millionth mailbox or
 * account does not fit a number any more.
 */
export function writing(db: DatabaseSync, sql: string): StatementSync {
  const statement = db.prepare(sql);
  statement.setReadBigInts(true);
  return statement;
}

export function commitStatements(db: DatabaseSync) {
  const write = (sql: string): StatementSync => writing(db, sql);
  const arrays = (sql: string): StatementSync => {
    const statement = db.prepare(sql);
    statement.setReturnArrays(true);
    return statement;
  };
  const live = `SELECT id & ${LOW}, flags, mod_seq, date, size, content & ${LOW} FROM messages
    WHERE id BETWEEN (?1 << 32 | ?2) AND (?1 << 32 | ?3) AND content IS NOT NULL`;
  return {
    account: db.prepare('SELECT * FROM accounts WHERE id = ?'),
    saveAccount: write(
      'UPDATE accounts SET mod_seq = ?2, used_bytes = ?3, used_messages = ?4, uid_validity = ?5, last_content = ?6 WHERE key = ?1',
    ),
    mailbox: db.prepare('SELECT * FROM mailboxes WHERE account = ? AND id = ?'),
    mailboxNamed: db.prepare('SELECT key FROM mailboxes WHERE account = ? AND name = ?'),
    saveMailbox: write(
      `UPDATE mailboxes SET name = ?2, role = ?3, uid_next = ?4, mod_seq = ?5, total = ?6, unseen = ?7, deleted = ?8,
         bytes = ?9, recent_uid = ?10, tombstones = ?11 WHERE key = ?1`,
    ),
    addMailbox: write(
      `INSERT INTO mailboxes (account, id, name, role, uid_validity, uid_next, mod_seq, total, unseen, deleted, bytes,
         recent_uid, tombstones, floor) VALUES (?1, ?2, ?3, ?4, ?5, 1, ?6, 0, 0, 0, 0, 1, 0, 0)`,
    ),
    receipt: db.prepare('SELECT uid, uid_validity, content FROM receipts WHERE account = ? AND key = ?'),
    addReceipt: write('INSERT INTO receipts VALUES (?1, ?2, ?3, ?4, ?5, ?6)'),
    request: db.prepare('SELECT result FROM requests WHERE account = ? AND name = ?'),
    addRequest: write('INSERT INTO requests VALUES (?1, ?2, ?3, ?4)'),
    contentSize: db.prepare('SELECT size FROM contents WHERE id = (?1 << 32 | ?2)'),
    addContent: write('INSERT INTO contents VALUES ((?1 << 32 | ?2), ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)'),
    addBlob: write('INSERT OR IGNORE INTO content_blobs VALUES (?1, (?2 << 32 | ?3))'),
    addMessage: write('INSERT INTO messages VALUES ((?1 << 32 | ?2), ?1, ?3, ?4, ?4, ?5, ?6, (?7 << 32 | ?8))'),
    live: arrays(live),
    liveDeleted: arrays(`${live} AND flags IN (SELECT id FROM flag_sets WHERE deleted = 1)`),
    setFlags: write('UPDATE messages SET flags = ?3, mod_seq = ?4 WHERE id = (?1 << 32 | ?2)'),
    bury: write(
      'UPDATE messages SET flags = 0, mod_seq = ?3, date = ?4, size = 0, content = NULL WHERE id = (?1 << 32 | ?2)',
    ),
    addDying: write('INSERT OR IGNORE INTO dying VALUES ((?1 << 32 | ?2))'),
    flagSetNamed: db.prepare('SELECT id FROM flag_sets WHERE names = ?'),
    flagSet: db.prepare('SELECT names FROM flag_sets WHERE id = ?'),
    addFlagSet: write('INSERT INTO flag_sets (names, seen, deleted) VALUES (?1, ?2, ?3)'),
    subscribe: write('INSERT OR IGNORE INTO subscriptions VALUES (?1, ?2)'),
    unsubscribe: write('DELETE FROM subscriptions WHERE account = ?1 AND name = ?2'),
    addOutbox: write(
      'INSERT OR IGNORE INTO outbox (account, topic, key, payload, mod_seq, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)',
    ),
  };
}
export type CommitStatements = ReturnType<typeof commitStatements>;
