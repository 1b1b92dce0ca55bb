/** Everything that one account shows, at one modSeq: for verifying and copying it. */

import { hasFlag } from '../../core/mail/flags.ts';
import type { AccountId } from '../../core/mail/ids.ts';
import type { RowState } from './mail-store-log.ts';
import { layMailbox, type Picture, ROW_FIELDS, steady } from './mail-store-picture.ts';
import {
  type MailboxDoc,
  type MailboxState,
  type MailTables,
  mailboxOf,
  mailboxRef,
  under,
} from './mail-store-schema.ts';

const SCANNED = 4000;

export interface Whole extends Picture {
  /** Deleted ones too. */
  readonly mailboxes: readonly MailboxState[];
  readonly floors: ReadonlyMap<string, number>;
  /** By mailbox; tombstones too. */
  readonly rows: ReadonlyMap<string, readonly RowState[]>;
}

export async function readWhole(tables: MailTables, account: AccountId): Promise<Whole | undefined> {
  const found = new Map<string, Map<number, RowState>>();
  const put = (mailbox: string, row: RowState): void => {
    let rows = found.get(mailbox);
    if (rows === undefined) {
      rows = new Map();
      found.set(mailbox, rows);
    }
    if ((rows.get(row.uid)?.modSeq ?? 0) < row.modSeq) rows.set(row.uid, row);
  };
  return steady(tables, account, async (picture, before) => {
    const { doc, effects } = picture;
    if (before === undefined) found.clear();
    const docs = await tables.mailboxes.find({ filter: { _id: under(doc.key) } });
    let newest = docs.reduce((highest, one) => Math.max(highest, one.version), 0);
    const read = async (mailbox: string, rows: readonly RowState[]): Promise<void> => {
      for (const row of rows) {
        newest = Math.max(newest, row.modSeq);
        put(mailbox, row);
      }
    };
    if (before === undefined) await scan(tables, doc.key, read);
    else {
      const changed = docs.filter((one) => one.version > before.doc.applied);
      for (const { _id } of changed) {
        const filter = { mailbox: _id, modSeq: { $gt: before.doc.applied } };
        await read(mailboxOf(doc.key, _id), await tables.messages.find({ filter, fields: ROW_FIELDS }));
      }
    }
    if (newest > doc.modSeq) return { newest, value: undefined as never };
    for (const [mailbox, rows] of effects.rows) for (const row of rows.values()) put(mailbox, row);
    return { newest, value: { ...picture, ...layAll(docs, picture), rows: sorted(found) } };
  });
}

async function scan(
  tables: MailTables,
  key: string,
  read: (mailbox: string, rows: readonly RowState[]) => Promise<void>,
): Promise<void> {
  const { $gte, $lt } = under(key);
  for (let last = $gte; ; ) {
    const filter = { _id: { $gt: last, $lt } };
    const docs = await tables.messages.find({
      filter,
      sort: { _id: 1 },
      limit: SCANNED,
      fields: ['mailbox', ...ROW_FIELDS],
    });
    for (const doc of docs) await read(mailboxOf(key, doc.mailbox), [doc]);
    if (docs.length < SCANNED) return;
    last = docs.at(-1)!._id;
  }
}

function layAll(docs: readonly MailboxDoc[], { doc, effects }: Picture): Pick<Whole, 'mailboxes' | 'floors'> {
  const byRef = new Map(docs.map((one) => [one._id, one]));
  const ids = new Set([...docs.map(({ _id }) => mailboxOf(doc.key, _id) as string), ...effects.mailboxes.keys()]);
  const mailboxes: MailboxState[] = [];
  const floors = new Map<string, number>();
  for (const id of ids) {
    const stored = byRef.get(mailboxRef(doc.key, id));
    const state = layMailbox(stored, effects.mailboxes.get(id));
    if (state === undefined) continue;
    mailboxes.push(state);
    floors.set(id, stored?.floor ?? 0);
  }
  return { mailboxes, floors };
}

const sorted = (found: ReadonlyMap<string, ReadonlyMap<number, RowState>>): Map<string, RowState[]> =>
  new Map([...found].map(([mailbox, rows]) => [mailbox, [...rows.values()].sort((a, b) => a.uid - b.uid)]));

export type Counted = Pick<MailboxState, 'total' | 'unseen' | 'deleted' | 'bytes' | 'uidNext' | 'modSeq'>;

/** What the mailbox's counters should be. Marks may lie above the rows: what was highest may be gone. */
export function countRows(rows: readonly RowState[], mailbox: MailboxState): Counted {
  const counted = { total: 0, unseen: 0, deleted: 0, bytes: 0, uidNext: mailbox.uidNext, modSeq: mailbox.modSeq };
  for (const { uid, flags, modSeq, size, content } of rows) {
    counted.uidNext = Math.max(counted.uidNext, uid + 1);
    counted.modSeq = Math.max(counted.modSeq, modSeq);
    if (content === 0) continue;
    counted.total++;
    counted.bytes += size;
    if (!hasFlag(flags, '\\Seen')) counted.unseen++;
    if (hasFlag(flags, '\\Deleted')) counted.deleted++;
  }
  return counted;
}
