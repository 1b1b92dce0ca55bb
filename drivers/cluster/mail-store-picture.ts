/**
 * An account as its document shows it: the state after its newest commit, and the effects of those commits that the other
 * collections may not show yet. What is read from them afterwards, with these effects laid over it, is the account at
 * this modSeq, unless something newer comes to light: then the reader takes a new picture and reads again.
 */

import { TemporaryError } from '../../core/mail/errors.ts';
import type { AccountId } from '../../core/mail/ids.ts';
import { decodePart, Effects, type RowState } from './mail-store-log.ts';
import type { AccountDoc, LogEntry, MailboxDoc, MailboxState, MailTables } from './mail-store-schema.ts';

export interface Picture {
  readonly doc: AccountDoc;
  readonly effects: Effects;
}

/** How often an account is read before it is given up. */
export const READS = 40;

export const spillRef = (doc: AccountDoc, entry: LogEntry, part: number): string => `${doc.key}.${entry.spill}.${part}`;

/** Entries that are not carried out for certain. */
export const openEntries = (doc: AccountDoc): LogEntry[] => doc.log.filter((entry) => entry.m > doc.applied);

/** undefined where the entries of large commits are gone: they have been carried out, and the document is outdated. */
export async function openEffects(tables: MailTables, doc: AccountDoc): Promise<Effects | undefined> {
  const entries = openEntries(doc);
  const refs = entries.flatMap((entry) =>
    Array.from({ length: entry.parts ?? 0 }, (_, part) => spillRef(doc, entry, part)),
  );
  const parts = await Promise.all(refs.map((_id) => tables.commits.findOne({ _id })));
  const effects = new Effects();
  let next = 0;
  for (const entry of entries) {
    if (entry.part !== undefined) decodePart(entry.part, entry.m, effects);
    for (let i = 0; i < (entry.parts ?? 0); i++) {
      const part = parts[next++];
      if (part === undefined) return undefined;
      decodePart(part, entry.m, effects);
    }
  }
  return effects;
}

export async function readPicture(tables: MailTables, account: AccountId): Promise<Picture | undefined> {
  for (let attempt = 0; attempt < READS; attempt++) {
    const doc = await tables.accounts.findOne({ _id: account });
    if (doc === undefined) return undefined;
    const effects = await openEffects(tables, doc);
    if (effects !== undefined) return { doc, effects };
  }
  throw unsteady(account);
}

/**
 * Reads with ever newer pictures until nothing newer than the picture was met. `read` gives the newest modSeq that it met;
 * `before` is the picture of the attempt that failed.
 *
 * It is exact where every document is met that existed at the picture, by its _id or by an index over what only grows
 * (modSeq), tombstones included: a commit up to the picture was carried out before, or lies over what was read; one behind
 * it has left its modSeq in each document that it changed, and what it has made that was not met is not missed. Tombstones
 * are dropped 30 days later only, when no reading is under way that began before. What is looked for by something that a
 * commit takes away (a content) needs another way: see mail-store-uses.ts.
 */
export async function steady<T>(
  tables: MailTables,
  account: AccountId,
  read: (picture: Picture, before: Picture | undefined) => Promise<{ readonly newest: number; readonly value: T }>,
): Promise<T | undefined> {
  let before: Picture | undefined;
  for (let attempt = 0; attempt < READS; attempt++) {
    const picture = await readPicture(tables, account);
    if (picture === undefined) return undefined;
    const { newest, value } = await read(picture, before?.doc.key === picture.doc.key ? before : undefined);
    if (newest <= picture.doc.modSeq) return value;
    before = picture;
  }
  throw unsteady(account);
}

export const unsteady = (account: AccountId): TemporaryError =>
  new TemporaryError('storeUnavailable', { account, detail: 'the account changes faster than it can be read' });

export const newestOf = (docs: readonly { readonly modSeq: number }[]): number =>
  docs.reduce((newest, doc) => Math.max(newest, doc.modSeq), 0);

export const ROW_FIELDS = ['uid', 'flags', 'modSeq', 'created', 'date', 'size', 'content'] as const;

/** The messages of one mailbox among these, with later effects laid over them, uid ascending. */
export function layRows(
  docs: Iterable<RowState>,
  layers: readonly (ReadonlyMap<number, RowState> | undefined)[],
  wanted: (row: RowState) => boolean,
): RowState[] {
  const rows = new Map<number, RowState>();
  for (const doc of docs) rows.set(doc.uid, doc);
  for (const layer of layers) {
    if (layer !== undefined)
      for (const [uid, row] of layer) if ((rows.get(uid)?.modSeq ?? 0) < row.modSeq) rows.set(uid, row);
  }
  const live = [...rows.values()].filter((row) => row.content !== 0 && wanted(row));
  return live.sort((a, b) => a.uid - b.uid);
}

/** A mailbox at the picture's time; undefined where it was never made. */
export function layMailbox(
  doc: Omit<MailboxDoc, 'account' | 'floor'> | undefined,
  later: { readonly value: MailboxState; readonly modSeq: number } | undefined,
): MailboxState | undefined {
  if (doc === undefined) return later?.value;
  if (later === undefined || later.modSeq <= doc.version) return doc.free ? undefined : mailboxOfDoc(doc);
  // The mark of \Recent is raised without a commit.
  return { ...later.value, recentUid: Math.max(later.value.recentUid, doc.recentUid) };
}

const mailboxOfDoc = (doc: MailboxState): MailboxState => ({
  ...{ id: doc.id, name: doc.name, role: doc.role, uidValidity: doc.uidValidity, uidNext: doc.uidNext },
  ...{ modSeq: doc.modSeq, total: doc.total, unseen: doc.unseen, deleted: doc.deleted, bytes: doc.bytes },
  ...{ recentUid: doc.recentUid, buried: doc.buried },
});
