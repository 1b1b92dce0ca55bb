/**
 * One mailbox of a mail store in memory, as the IMAP engine's view sees it: columns, history and contents. Each change
 * is one commit. `forgetHistory` makes everything before it too old to be told.
 */

import { applyFlags, type FlagSet, flagSet, type StoreMode } from '../../core/mail/flags.ts';
import { accountId, contentId, mailboxId, modSeq, uid } from '../../core/mail/ids.ts';
import { wholeBlob } from '../../core/mail/layout.ts';
import { describeMessage, toContentInput } from '../../core/mime/describe.ts';
import type {
  Changes,
  Columns,
  CommitResult,
  Content,
  ContentInput,
  Mailbox,
  MailStoreReader,
  Op,
  Row,
} from '../../core/ports/mail-store.ts';
import type { MemoryBlobs } from './memory-blobs.ts';

export const ACCOUNT = accountId('account');
export const MAILBOX = mailboxId('mailbox');

export class MemoryMailbox {
  readonly rows: Row[] = [];
  readonly #vanished: { readonly mailbox: typeof MAILBOX; readonly uid: Row['uid']; readonly modSeq: Row['modSeq'] }[] =
    [];
  /** Every expunged message as it was last, with the modSeq at which it went. */
  readonly expunged = new Map<number, Row>();
  /** Every flag set that a message has had, as text. */
  readonly flagsEver = new Map<number, Set<string>>();
  readonly #contents = new Map<number, ContentInput>();
  #modSeq = 1;
  #floor = 0;
  #uidNext = 1;
  #recentUid = 1;

  get modSeq(): number {
    return this.#modSeq;
  }

  append(flags: readonly string[], values: { size?: number; internalDate?: number; content?: number } = {}): number {
    const stamp = modSeq(++this.#modSeq);
    const number = uid(this.#uidNext++);
    this.flagsEver.set(number, new Set([flagSet(flags).join(' ')]));
    const { size = 100 + number, internalDate = number * 1000, content = number } = values;
    this.rows.push({
      mailbox: MAILBOX,
      uid: number,
      flags: flagSet(flags),
      modSeq: stamp,
      created: stamp,
      internalDate,
      size,
      content: contentId(content),
    });
    return number;
  }

  /** A message whose bytes are kept. */
  async deliver(
    blobs: MemoryBlobs,
    message: Uint8Array,
    flags: readonly string[],
    internalDate: number,
  ): Promise<void> {
    const { ref, size } = await blobs.put(message);
    this.#contents.set(this.#uidNext, toContentInput(await describeMessage([message]), wholeBlob(ref, size), ''));
    this.append(flags, { size, internalDate });
  }

  store(uids: ReadonlySet<number>, mode: StoreMode, flags: FlagSet): readonly Row[] {
    const next = this.#modSeq + 1;
    const stored: Row[] = [];
    for (let i = 0; i < this.rows.length; i++) {
      const row = this.rows[i]!;
      if (!uids.has(row.uid)) continue;
      const after = applyFlags(row.flags, mode, flags);
      if (after !== row.flags) {
        this.#modSeq = next;
        this.rows[i] = { ...row, flags: after, modSeq: modSeq(next) };
        this.flagsEver.get(row.uid)!.add(after.join(' '));
      }
      stored.push(this.rows[i]!);
    }
    return stored;
  }

  expunge(uids: ReadonlySet<number>): void {
    const gone = this.rows.filter((row) => uids.has(row.uid));
    if (gone.length === 0) return;
    const stamp = modSeq(++this.#modSeq);
    this.rows.splice(0, this.rows.length, ...this.rows.filter((row) => !uids.has(row.uid)));
    for (const row of gone) {
      this.#vanished.push({ mailbox: MAILBOX, uid: row.uid, modSeq: stamp });
      this.expunged.set(row.uid, { ...row, modSeq: stamp });
    }
  }

  forgetHistory(): void {
    this.#floor = this.#modSeq;
    this.#vanished.length = 0;
  }

  /** Only what a session commits by itself. */
  commit(ops: readonly Op[]): CommitResult {
    const results = ops.map((op): CommitResult['results'][number] => {
      if (op.t === 'claimRecent') {
        const recentUid = uid(this.#recentUid);
        this.#recentUid = this.#uidNext;
        return { ok: true, t: 'claimRecent', recentUid };
      }
      if (op.t !== 'store') throw new Error(`no ${op.t} here`);
      const stored = this.store(new Set(op.uids), op.mode, op.flags);
      return { ok: true, t: 'store', stored, modified: new Uint32Array(0) };
    });
    return { modSeq: modSeq(this.#modSeq), results };
  }

  mailbox(): Mailbox {
    return {
      id: MAILBOX,
      name: 'INBOX',
      role: 'inbox',
      uidValidity: 7,
      uidNext: uid(this.#uidNext),
      modSeq: modSeq(this.#modSeq),
      total: this.rows.length,
      unseen: 0,
      deleted: 0,
      bytes: 0,
      recentUid: uid(this.#recentUid),
    };
  }

  columns(): Columns {
    const flagSets = [...new Set(this.rows.map((row) => row.flags))];
    return {
      mailbox: this.mailbox(),
      upTo: modSeq(this.#modSeq),
      uids: Uint32Array.from(this.rows, (row) => row.uid),
      flags: Uint32Array.from(this.rows, (row) => flagSets.indexOf(row.flags)),
      flagSets,
      modSeqs: Float64Array.from(this.rows, (row) => row.modSeq),
      dates: Float64Array.from(this.rows, (row) => row.internalDate),
      sizes: Uint32Array.from(this.rows, (row) => row.size),
      contents: Float64Array.from(this.rows, (row) => row.content),
    };
  }

  changes(since: number): Changes {
    return {
      upTo: modSeq(this.#modSeq),
      more: false,
      changed: this.rows.filter((row) => row.modSeq > since).sort((a, b) => a.modSeq - b.modSeq),
      vanished: this.#vanished.filter((one) => one.modSeq > since),
      tooOld: since < this.#floor,
    };
  }

  asStore(): MailStoreReader {
    const reader: Pick<MailStoreReader, 'columns' | 'changes' | 'contents'> = {
      columns: async () => this.columns(),
      changes: async (_account, _mailbox, since) => this.changes(since),
      contents: async (_account, ids) =>
        ids.map((id) => {
          const content = this.#contents.get(id);
          return content === undefined ? undefined : ({ ...content, id } satisfies Content);
        }),
    };
    return reader as MailStoreReader;
  }
}
