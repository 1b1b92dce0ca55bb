/**
 * What changed behind a modSeq. An answer holds whole modSeqs only, so that a reader who goes on from `upTo` misses
 * nothing; it is cut where the limit is passed, except that one modSeq is never cut in two.
 */

import { type AccountId, type MailboxId, type ModSeq, modSeq, uid } from '../../core/mail/ids.ts';
import type { Changes, Row } from '../../core/ports/mail-store.ts';
import type { RowState } from './mail-store-log.ts';
import { layMailbox, newestOf, type Picture, steady } from './mail-store-picture.ts';
import { toRow } from './mail-store-reader.ts';
import { byModSeq, type MailTables, type MessageDoc, mailboxOf, mailboxRef, under } from './mail-store-schema.ts';

type Entry = { readonly mailbox: MailboxId; readonly row: RowState };

export async function readChanges(
  tables: MailTables,
  account: AccountId,
  mailbox: MailboxId | null,
  since: ModSeq,
  limit: number,
): Promise<Changes> {
  const nothing = { upTo: since, more: false, changed: [], vanished: [], tooOld: false };
  // Most often nothing has changed, which a few numbers tell.
  const state = await tables.accounts.findOne({ _id: account }, { fields: ['modSeq'] });
  if (state === undefined || state.modSeq === since) return nothing;
  return (await steady(tables, account, (picture) => changesOf(tables, picture, mailbox, since, limit))) ?? nothing;
}

async function changesOf(
  tables: MailTables,
  picture: Picture,
  mailbox: MailboxId | null,
  since: ModSeq,
  limit: number,
): Promise<{ newest: number; value: Changes }> {
  const { doc, effects } = picture;
  const mailboxes = await mailboxesOf(tables, picture, mailbox, since);
  const refs = mailboxes.map(({ ref }) => ref);
  const filter = refs.length === 1 ? { mailbox: refs[0]! } : { mailbox: { $in: refs } };
  const shard = byModSeq(refs.length === 1 ? refs[0]! : doc.key);
  const find = (of: { $gt: number } | number, most?: number): Promise<MessageDoc[]> =>
    tables.messages.find({
      ...{ filter: { ...filter, modSeq: of }, sort: { modSeq: 1 }, shard },
      ...(most === undefined ? {} : { limit: most }),
    });
  let docs = refs.length === 0 ? [] : await find({ $gt: since }, limit + 1);
  const newest = newestOf(docs);
  if (newest > doc.modSeq)
    return { newest, value: { upTo: since, more: true, changed: [], vanished: [], tooOld: false } };
  // What lies above is not all known.
  let horizon: number = doc.modSeq;
  if (docs.length > limit) {
    const [first, last] = [docs[0]!.modSeq, docs.at(-1)!.modSeq];
    horizon = first === last ? first : last - 1;
    if (first === last) docs = await find(first);
  }
  const later = new Map(mailboxes.map(({ id }) => [id as string, effects.rows.get(id)]));
  const entries: Entry[] = [];
  for (const row of docs) {
    const id = mailboxOf(doc.key, row.mailbox);
    const newer = later.get(id)?.get(row.uid);
    if (row.modSeq <= horizon && !(newer !== undefined && newer.modSeq > row.modSeq))
      entries.push({ mailbox: id, row });
  }
  for (const [id, rows] of later) {
    for (const row of rows?.values() ?? []) {
      if (row.modSeq > since && row.modSeq <= horizon) entries.push({ mailbox: id as MailboxId, row });
    }
  }
  const unique = dropDoubles(entries).sort(
    (a, b) =>
      a.row.modSeq - b.row.modSeq ||
      (a.mailbox < b.mailbox ? -1 : a.mailbox > b.mailbox ? 1 : 0) ||
      a.row.uid - b.row.uid,
  );
  const upTo = cutAt(unique, limit) ?? horizon;
  const floor = mailbox === null ? doc.floor : (mailboxes[0]?.floor ?? 0);
  const more = upTo < doc.modSeq;
  return { newest: newestOf(docs), value: { ...split(unique, upTo), upTo: modSeq(upTo), more, tooOld: since < floor } };
}

/** A row that was carried out after the picture is in both lists, the same in each. */
function dropDoubles(entries: readonly Entry[]): Entry[] {
  const byName = new Map(entries.map((entry) => [`${entry.mailbox} ${entry.row.uid}`, entry]));
  return [...byName.values()];
}

/** Where to cut, if there are more than `limit`. */
function cutAt(entries: readonly Entry[], limit: number): number | undefined {
  const beyond = entries[limit]?.row.modSeq;
  if (beyond === undefined) return undefined;
  return beyond === entries[0]!.row.modSeq ? beyond : beyond - 1;
}

function split(entries: readonly Entry[], upTo: number): Pick<Changes, 'changed' | 'vanished'> {
  const changed: Row[] = [];
  const vanished: { mailbox: MailboxId; uid: ReturnType<typeof uid>; modSeq: ModSeq }[] = [];
  for (const { mailbox, row } of entries) {
    if (row.modSeq > upTo) break;
    if (row.content === 0) vanished.push({ mailbox, uid: uid(row.uid), modSeq: modSeq(row.modSeq) });
    else changed.push(toRow(mailbox, row));
  }
  return { changed, vanished };
}

/** The mailbox itself, or all (deleted ones too) with a change behind `since`. */
async function mailboxesOf(
  tables: MailTables,
  { doc, effects }: Picture,
  mailbox: MailboxId | null,
  since: number,
): Promise<{ id: MailboxId; ref: string; floor: number }[]> {
  const entry = (id: MailboxId, floor: number) => ({ id, ref: mailboxRef(doc.key, id), floor });
  if (mailbox !== null) {
    // Only one that has forgotten something can have forgotten this.
    if (since >= doc.floor) return [entry(mailbox, 0)];
    const found = await tables.mailboxes.findOne({ _id: mailboxRef(doc.key, mailbox) }, { fields: ['floor'] });
    return [entry(mailbox, found?.floor ?? 0)];
  }
  const docs = await tables.mailboxes.find({ filter: { _id: under(doc.key) } });
  const byId = new Map(docs.map((one) => [mailboxOf(doc.key, one._id) as string, one]));
  const ids = [...new Set([...byId.keys(), ...effects.mailboxes.keys()])];
  return ids
    .filter((id) => (layMailbox(byId.get(id), effects.mailboxes.get(id))?.modSeq ?? 0) > since)
    .map((id) => entry(id as MailboxId, byId.get(id)?.floor ?? 0));
}
