/**
 * The mailbox rows that one commit has touched: read once, changed in memory and written back at its end. Names and
 * existence are always in the table, so that operations behind a CREATE, RENAME or DELETE see it.
 */

import type { MailboxId } from '../../core/mail/ids.ts';
import type { Role } from '../../core/ports/mail-store.ts';
import type { MailboxRow } from './mail-store-reader.ts';
import type { CommitStatements } from './mail-store-statements.ts';

/** A mailbox's row, written back at the end of the commit when `dirty`. */
export type MailboxState = { -readonly [K in keyof MailboxRow]: MailboxRow[K] } & { dirty: boolean };
export class Mailboxes {
  readonly #sql: CommitStatements;
  /** The account's key. */
  readonly #account: number;
  readonly #states = new Map<MailboxId, MailboxState | undefined>();

  constructor(sql: CommitStatements, account: number) {
    this.#sql = sql;
    this.#account = account;
  }

  get(id: MailboxId): MailboxState | undefined {
    if (this.#states.has(id)) return this.#states.get(id);
    const row = this.#sql.mailbox.get(this.#account, id) as MailboxRow | undefined;
    const mailbox = row === undefined || row.name === null ? undefined : { ...row, dirty: false };
    this.#states.set(id, mailbox);
    return mailbox;
  }

  save(mailbox: MailboxState): void {
    mailbox.dirty = false;
    this.#sql.saveMailbox.run(
      mailbox.key,
      mailbox.name,
      mailbox.role,
      mailbox.uid_next,
      mailbox.mod_seq,
      mailbox.total,
      mailbox.unseen,
      mailbox.deleted,
      mailbox.bytes,
      mailbox.recent_uid,
      mailbox.tombstones,
    );
  }

  flush(): void {
    for (const mailbox of this.#states.values()) if (mailbox?.dirty === true) this.save(mailbox);
  }

  nameTaken(name: string): boolean {
    return this.#sql.mailboxNamed.get(this.#account, name) !== undefined;
  }

  /** False when the id or the name is there already. */
  create(id: MailboxId, name: string, role: Role | null, uidValidity: number, modSeq: number): boolean {
    if (this.#sql.mailbox.get(this.#account, id) !== undefined || this.nameTaken(name)) return false;
    this.#sql.addMailbox.run(this.#account, id, name, role, uidValidity, modSeq);
    this.#states.delete(id);
    return true;
  }

  /** Forgets the name of an emptied mailbox; the row stays for as long as its vanished uids are told. */
  remove(id: MailboxId, mailbox: MailboxState): void {
    mailbox.name = null;
    mailbox.role = null;
    this.save(mailbox);
    this.#states.set(id, undefined);
  }
}
