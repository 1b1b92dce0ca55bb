/**
 * Applies one commit's operations to a shard, in the writer thread and inside its savepoint: whatever throws undoes the
 * whole commit. Mailbox and account rows are held in memory while the commit runs and written once at its end, so the
 * operations see each other's effects and the counters move together with the rows.
 */

import { deserialize, serialize } from 'node:v8';
import { ClientError, Fenced } from '../../core/mail/errors.ts';
import { applyFlags, type FlagSet } from '../../core/mail/flags.ts';
import { contentId, type MailboxId, uid } from '../../core/mail/ids.ts';
import type { SoftFailure } from '../../core/ports/mail-store.ts';
import { type FlagInfo, FlagSets } from './mail-store-flag-sets.ts';
import { Mailboxes, type MailboxState } from './mail-store-mailboxes.ts';
import type { CommitStatements } from './mail-store-statements.ts';
import {
  BLOB_HASH_BYTES,
  type PackedContent,
  type SentAppend,
  type SentCommit,
  type SentCommitResult,
  type SentOp,
  type SentResult,
} from './mail-store-wire.ts';
import { uidRuns } from './uid-runs.ts';

interface AccountWrite {
  readonly key: number;
  readonly epoch: number;
  readonly mod_seq: number;
  readonly quota_bytes: number | null;
  readonly quota_messages: number | null;
  used_bytes: number;
  used_messages: number;
  uid_validity: number;
  last_content: number;
}
interface LiveRow {
  readonly uid: number;
  readonly flags: number;
  readonly modSeq: number;
  readonly date: number;
  readonly size: number;
  readonly content: number;
}

const UID_MAX = 0xffff_ffff;
const OK = { ok: true } as const;
const failure = (why: SoftFailure): SentResult => ({ ok: false, why });

/** The next uidValidity of an account: greater than any before, and by the clock where that is ahead. */
export const nextUidValidity = (last: number, now: number): number =>
  Math.max(last + 1, Math.min(Math.floor(now / 1000), 0xf000_0000));

export class Commit {
  readonly #sql: CommitStatements;
  readonly #account: AccountWrite;
  readonly #now: number;
  /** The modSeq that everything in this commit gets. */
  readonly #modSeq: number;
  readonly #mailboxes: Mailboxes;
  readonly #flags: FlagSets;
  readonly #request: string | undefined;
  #effect = false;

  constructor(sql: CommitStatements, sent: SentCommit) {
    const account = sql.account.get(sent.account) as AccountWrite | undefined;
    if (account === undefined) throw new ClientError('notFound');
    if (account.epoch !== sent.epoch) throw new Fenced();
    this.#sql = sql;
    this.#flags = new FlagSets(sql);
    this.#mailboxes = new Mailboxes(sql, account.key);
    this.#account = account;
    this.#now = sent.now;
    this.#modSeq = account.mod_seq + 1;
    this.#request = sent.request;
  }

  run(ops: readonly SentOp[]): SentCommitResult {
    const before = this.#request === undefined ? undefined : this.#sql.request.get(this.#account.key, this.#request);
    if (before !== undefined) return deserialize((before as { result: Uint8Array }).result) as SentCommitResult;
    const results = ops.map((op) => this.#apply(op));
    this.#mailboxes.flush();
    if (!this.#effect) return { modSeq: this.#account.mod_seq, results };
    const { key, used_bytes, used_messages, uid_validity, last_content } = this.#account;
    this.#sql.saveAccount.run(key, this.#modSeq, used_bytes, used_messages, uid_validity, last_content);
    const done: SentCommitResult = { modSeq: this.#modSeq, results };
    if (this.#request !== undefined) this.#sql.addRequest.run(key, this.#request, this.#now, serialize(done));
    return done;
  }

  #apply(op: SentOp): SentResult {
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
      case 'subscribe': {
        const statement = op.subscribed ? this.#sql.subscribe : this.#sql.unsubscribe;
        if (Number(statement.run(this.#account.key, op.name).changes) > 0) this.#effect = true;
        return { ...OK, t: 'subscribe' };
      }
      case 'claimRecent':
        return this.#claimRecent(op.mailbox);
      case 'outbox': {
        const payload = JSON.stringify(op.payload ?? null);
        const run = this.#sql.addOutbox.run(this.#account.key, op.topic, op.key, payload, this.#modSeq, this.#now);
        if (Number(run.changes) > 0) this.#effect = true;
        return { ...OK, t: 'outbox' };
      }
    }
  }

  #append(op: SentAppend): SentResult {
    if (op.dedupe !== undefined) {
      const first = this.#sql.receipt.get(this.#account.key, op.dedupe) as
        | { uid: number; uid_validity: number; content: number }
        | undefined;
      if (first !== undefined)
        return {
          ...OK,
          t: 'append',
          uid: uid(first.uid),
          uidValidity: first.uid_validity,
          content: contentId(first.content),
          duplicate: true,
        };
    }
    const mailbox = this.#mailboxes.get(op.mailbox);
    if (mailbox === undefined) return failure('noSuchMailbox');
    const known = 'ref' in op.content ? this.#sql.contentSize.get(this.#account.key, op.content.ref) : op.content;
    if (known === undefined) return failure('noSuchContent');
    const size = (known as { size: number }).size;
    if (op.quota === 'enforce' && this.#exceeds(size, 1)) return failure('quota');
    if (mailbox.uid_next > UID_MAX) return failure('uidsExhausted');
    const content = 'ref' in op.content ? op.content.ref : this.#addContent(op.content);
    const number = this.#addMessage(mailbox, this.#flags.intern(op.flags), op.internalDate, size, content);
    if (op.dedupe !== undefined)
      this.#sql.addReceipt.run(this.#account.key, op.dedupe, this.#now, number, mailbox.uid_validity, content);
    return {
      ...OK,
      t: 'append',
      uid: uid(number),
      uidValidity: mailbox.uid_validity,
      content: contentId(content),
      duplicate: false,
    };
  }

  #exceeds(bytes: number, messages: number): boolean {
    const { quota_bytes, quota_messages, used_bytes, used_messages } = this.#account;
    return (
      (quota_bytes !== null && used_bytes + bytes > quota_bytes) ||
      (quota_messages !== null && used_messages + messages > quota_messages)
    );
  }

  #addContent(content: PackedContent): number {
    const number = ++this.#account.last_content;
    const { bytes, ends } = content;
    this.#sql.addContent.run(
      this.#account.key,
      number,
      content.size,
      content.sentAt,
      content.origin,
      content.hash,
      content.messageId,
      bytes.subarray(0, ends[0]),
      bytes.subarray(ends[0], ends[1]),
      bytes.subarray(ends[1], ends[2]),
      bytes.subarray(ends[2], ends[3]),
    );
    for (let at = ends[3]; at < bytes.length; at += BLOB_HASH_BYTES)
      this.#sql.addBlob.run(bytes.subarray(at, at + BLOB_HASH_BYTES), this.#account.key, number);
    return number;
  }

  #addMessage(mailbox: MailboxState, flags: FlagInfo, date: number, size: number, content: number): number {
    const number = mailbox.uid_next++;
    this.#sql.addMessage.run(mailbox.key, number, flags.id, this.#modSeq, date, size, this.#account.key, content);
    this.#count(mailbox, flags, size, 1);
    return number;
  }

  /** Moves every counter for a message that comes (`by` 1) or goes (−1), and marks the mailbox as changed. */
  #count(mailbox: MailboxState, flags: FlagInfo, size: number, by: 1 | -1): void {
    mailbox.total += by;
    mailbox.bytes += by * size;
    if (!flags.seen) mailbox.unseen += by;
    if (flags.deleted) mailbox.deleted += by;
    this.#account.used_bytes += by * size;
    this.#account.used_messages += by;
    this.#touch(mailbox);
  }

  #touch(mailbox: MailboxState): void {
    mailbox.mod_seq = this.#modSeq;
    mailbox.dirty = true;
    this.#effect = true;
  }

  #store(op: Extract<SentOp, { t: 'store' }>): SentResult {
    const mailbox = this.#mailboxes.get(op.mailbox);
    if (mailbox === undefined) return failure('noSuchMailbox');
    const after = new Map<number, FlagInfo>();
    const sets: FlagSet[] = [];
    const setIndexes = new Map<number, number>();
    const stored: number[] = [];
    const flags: number[] = [];
    const modSeqs: number[] = [];
    const modified: number[] = [];
    for (const row of this.#live(mailbox, op.uids)) {
      // RFC 7162 §3.1.3: the test is against the modSeq as it is now.
      if (op.unchangedSince !== undefined && row.modSeq > op.unchangedSince) {
        modified.push(row.uid);
        continue;
      }
      const before = this.#flags.get(row.flags);
      let next = after.get(before.id);
      if (next === undefined) {
        const names = applyFlags(before.names, op.mode, op.flags);
        next = names === before.names ? before : this.#flags.intern(names);
        after.set(before.id, next);
      }
      if (next.id !== before.id) {
        this.#sql.setFlags.run(mailbox.key, row.uid, next.id, this.#modSeq);
        mailbox.unseen += Number(before.seen) - Number(next.seen);
        mailbox.deleted += Number(next.deleted) - Number(before.deleted);
        this.#touch(mailbox);
      }
      let index = setIndexes.get(next.id);
      if (index === undefined) {
        index = sets.push(next.names) - 1;
        setIndexes.set(next.id, index);
      }
      stored.push(row.uid);
      flags.push(index);
      modSeqs.push(next.id === before.id ? row.modSeq : this.#modSeq);
    }
    return {
      ...OK,
      t: 'store',
      uids: Uint32Array.from(stored),
      flags: Uint32Array.from(flags),
      sets,
      modSeqs: Float64Array.from(modSeqs),
      modified: Uint32Array.from(modified),
    };
  }

  #copy(op: Extract<SentOp, { t: 'copy' | 'move' }>): SentResult {
    const from = this.#mailboxes.get(op.from);
    const to = this.#mailboxes.get(op.to);
    if (from === undefined || to === undefined) return failure('noSuchMailbox');
    const rows = this.#live(from, op.uids);
    if (to.uid_next + rows.length - 1 > UID_MAX) return failure('uidsExhausted');
    // RFC 9051 §6.4.7: a COPY is wholly done or not at all. A MOVE takes nothing more.
    const bytes = rows.reduce((sum, row) => sum + row.size, 0);
    if (op.t === 'copy' && this.#exceeds(bytes, rows.length)) return failure('quota');
    const sources = new Uint32Array(rows.length);
    const targets = new Uint32Array(rows.length);
    for (let i = 0; i < rows.length; i++) {
      const row = rows[i]!;
      sources[i] = row.uid;
      targets[i] = this.#addMessage(to, this.#flags.get(row.flags), row.date, row.size, row.content);
      if (op.t === 'move') this.#bury(from, row, false);
    }
    return { ...OK, t: op.t, uidValidity: to.uid_validity, from: sources, to: targets };
  }

  #expunge(op: Extract<SentOp, { t: 'expunge' }>): SentResult {
    const mailbox = this.#mailboxes.get(op.mailbox);
    if (mailbox === undefined) return failure('noSuchMailbox');
    if (op.onlyDeleted && mailbox.deleted === 0) return { ...OK, t: 'expunge', uids: new Uint32Array(0) };
    const statement = op.onlyDeleted ? this.#sql.liveDeleted : this.#sql.live;
    const rows = this.#live(mailbox, op.uids, statement);
    for (const row of rows) this.#bury(mailbox, row, true);
    return { ...OK, t: 'expunge', uids: Uint32Array.from(rows, (row) => row.uid) };
  }

  /** Leaves a tombstone. `dying`: its content may be without a message now. */
  #bury(mailbox: MailboxState, row: LiveRow, dying: boolean): void {
    this.#sql.bury.run(mailbox.key, row.uid, this.#modSeq, Math.floor(this.#now / 1000));
    if (dying) this.#sql.addDying.run(this.#account.key, row.content);
    mailbox.tombstones++;
    this.#count(mailbox, this.#flags.get(row.flags), row.size, -1);
  }

  #createMailbox(op: Extract<SentOp, { t: 'createMailbox' }>): SentResult {
    const uidValidity = nextUidValidity(this.#account.uid_validity, this.#now);
    if (!this.#mailboxes.create(op.id, op.name, op.role, uidValidity, this.#modSeq)) return failure('mailboxExists');
    this.#account.uid_validity = uidValidity;
    this.#effect = true;
    return { ...OK, t: 'createMailbox', mailbox: op.id, uidValidity };
  }

  #updateMailbox(op: Extract<SentOp, { t: 'updateMailbox' }>): SentResult {
    const mailbox = this.#mailboxes.get(op.mailbox);
    if (mailbox === undefined) return failure('noSuchMailbox');
    const name = op.name ?? mailbox.name;
    const role = op.role === undefined ? mailbox.role : op.role;
    if (name !== mailbox.name && this.#mailboxes.nameTaken(op.name!)) return failure('mailboxExists');
    if (name !== mailbox.name || role !== mailbox.role) {
      mailbox.name = name;
      mailbox.role = role;
      // At once: operations behind this one look names up in the table.
      this.#mailboxes.save(mailbox);
      this.#effect = true;
    }
    return { ...OK, t: 'updateMailbox' };
  }

  #deleteMailbox(id: MailboxId): SentResult {
    const mailbox = this.#mailboxes.get(id);
    if (mailbox === undefined) return failure('noSuchMailbox');
    for (const row of this.#live(mailbox, null)) this.#bury(mailbox, row, true);
    this.#touch(mailbox);
    this.#mailboxes.remove(id, mailbox);
    return { ...OK, t: 'deleteMailbox' };
  }

  #claimRecent(id: MailboxId): SentResult {
    const mailbox = this.#mailboxes.get(id);
    if (mailbox === undefined) return failure('noSuchMailbox');
    const recentUid = uid(mailbox.recent_uid);
    if (mailbox.recent_uid !== mailbox.uid_next) {
      mailbox.recent_uid = mailbox.uid_next;
      mailbox.dirty = true;
    }
    return { ...OK, t: 'claimRecent', recentUid };
  }

  /** Those of the uids (null: of all) that exist, ascending. */
  #live(mailbox: MailboxState, uids: Uint32Array | null, statement = this.#sql.live): LiveRow[] {
    const rows: LiveRow[] = [];
    const runs = uids === null ? [{ first: 0, last: UID_MAX, has: () => true }] : uidRuns(uids);
    for (const run of runs) {
      const found = statement.all(mailbox.key, run.first, run.last) as unknown as number[][];
      for (const values of found) {
        if (!run.has(values[0]!)) continue;
        rows.push({
          uid: values[0]!,
          flags: values[1]!,
          modSeq: values[2]!,
          date: values[3]!,
          size: values[4]!,
          content: values[5]!,
        });
      }
    }
    return rows;
  }
}
