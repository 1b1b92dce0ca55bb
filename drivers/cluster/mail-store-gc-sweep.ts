/**
 * Drops a mailbox's tombstones that are old and, but for a deleted mailbox, more than are kept. What is dropped can't be
 * told to anyone any more, so the floors rise to it first. A deleted mailbox with none left has its id free.
 */

import type { AccountId } from '../../core/mail/ids.ts';
import { deleteAll } from './mail-store-apply.ts';
import {
  AFTERLIFE_MS,
  accountOf,
  byModSeq,
  type MailboxDoc,
  type MailTables,
  NEVER,
  type SweepDoc,
  TOMBSTONE_AGE_MS,
} from './mail-store-schema.ts';

const DELETED = 500;

/**
 * May be left where it stops between two lots.
 * @param changed hears of an account that has an id free again
 */
export async function* sweepMailbox(
  tables: MailTables,
  sweep: SweepDoc,
  now: number,
  changed: (account: AccountId) => void,
): AsyncGenerator<void, void> {
  const { _id } = sweep;
  const mailbox = await tables.mailboxes.findOne({ _id });
  if (mailbox === undefined || mailbox.free) {
    if (mailbox !== undefined) await tables.mailboxes.deleteOne({ _id, free: true, version: mailbox.version });
    return swept(tables, sweep, NEVER);
  }
  const isGone = mailbox.name === null;
  for (let left = (await count(tables, _id)) - (isGone ? 0 : tables.tombstonesKept); left > 0; ) {
    const oldest = await tables.messages.find({
      ...{ filter: { mailbox: _id, content: 0 }, sort: { modSeq: 1 }, shard: byModSeq(_id) },
      ...{ limit: Math.min(DELETED, left), fields: ['modSeq', 'date'] },
    });
    const cutoff = Math.floor((now - TOMBSTONE_AGE_MS) / 1000);
    const old = oldest.filter(({ date }) => date < cutoff);
    if (old.length === 0) return swept(tables, sweep, ((oldest[0]?.date ?? cutoff) + 1) * 1000 + TOMBSTONE_AGE_MS);
    const floor = old.reduce((highest, { modSeq }) => Math.max(highest, modSeq), 0);
    await tables.mailboxes.updateOne({ _id }, { $max: { floor } });
    await tables.accounts.updateOne({ _id: accountOf(sweep.account), key: sweep.account }, { $max: { floor } });
    await deleteAll(
      tables.messages,
      old.map((one) => one._id),
    );
    left -= old.length;
    yield;
  }
  if (!isGone) return swept(tables, sweep, NEVER);
  if (!(await isFree(tables, sweep, mailbox))) return;
  await tables.mailboxes.updateOne(
    { _id, name: null, version: mailbox.version },
    { $set: { free: true, recentUid: 0 } },
  );
  changed(accountOf(sweep.account));
  return swept(tables, sweep, now + AFTERLIFE_MS);
}

/** Its deletion was carried out wholly, and there is nothing to remember of it. */
async function isFree(tables: MailTables, { _id, account: key }: SweepDoc, { version }: MailboxDoc): Promise<boolean> {
  const account = await tables.accounts.findOne({ _id: accountOf(key), key }, { fields: ['applied'] });
  if (account !== undefined && account.applied < version) return false;
  return (await count(tables, _id)) === 0;
}

async function count(tables: MailTables, mailbox: string): Promise<number> {
  const [counted] = await tables.messages.group<{ _id: null; count: number }>({
    ...{ filter: { mailbox, content: 0 }, shard: byModSeq(mailbox), by: null, sums: { count: 1 } },
  });
  return counted?.count ?? 0;
}

/** Done with for now: `due` again at a time, or never. Not where it was asked for anew meanwhile. */
async function swept({ sweeps }: MailTables, { _id, due }: SweepDoc, next: number): Promise<void> {
  if (next === NEVER) await sweeps.deleteOne({ _id, due });
  else await sweeps.updateOne({ _id, due }, { $set: { due: next } });
}
