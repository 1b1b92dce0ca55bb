/** The data items of STATUS and of LIST's RETURN (STATUS …): reading their names and writing their values. */

import type { Columns, Mailbox } from '../ports/mail-store.ts';
import { BadSyntax } from './bad-syntax.ts';
import type { ArgParser } from './parser.ts';
import type { ImapSession } from './session.ts';

const ITEMS = [
  'MESSAGES',
  'RECENT',
  'UIDNEXT',
  'UIDVALIDITY',
  'UNSEEN',
  // RFC 9208 §4.1.4, RFC 9051 §6.3.11
  'DELETED',
  'DELETED-STORAGE',
  // RFC 8438 §3
  'SIZE',
  // RFC 7162 §3.1.7
  'HIGHESTMODSEQ',
  // RFC 7889 §3.1
  'APPENDLIMIT',
] as const;
export type StatusItem = (typeof ITEMS)[number];

/** Up to here \Recent messages are looked up one by one, beyond it the mailbox's columns are read. */
const RECENT_ROWS_MAX = 1000;

/** `( item *(SP item) )` */
export function parseStatusItems(parser: ArgParser): StatusItem[] {
  const items = parser.list(() => {
    const name = parser.keyword();
    const item = ITEMS.find((candidate) => candidate === name);
    if (item === undefined) throw new BadSyntax('Unknown STATUS item');
    return item;
  });
  return [...new Set(items)];
}

/** Writes `* STATUS mailbox (…)`. */
export async function writeStatus(session: ImapSession, mailbox: Mailbox, items: readonly StatusItem[]): Promise<void> {
  const values: string[] = [];
  for (const item of items) values.push(`${item} ${await value(session, mailbox, item)}`);
  session.out.ascii('* STATUS ');
  session.writeMailboxName(mailbox.name);
  session.out.ascii(` (${values.join(' ')})`).crlf();
}

async function value(session: ImapSession, mailbox: Mailbox, item: StatusItem): Promise<number> {
  switch (item) {
    case 'MESSAGES':
      return mailbox.total;
    case 'RECENT':
      return countRecent(session, mailbox);
    case 'UIDNEXT':
      return mailbox.uidNext;
    case 'UIDVALIDITY':
      return mailbox.uidValidity;
    case 'UNSEEN':
      return mailbox.unseen;
    case 'DELETED':
      return mailbox.deleted;
    case 'DELETED-STORAGE':
      return mailbox.deleted === 0 ? 0 : deletedBytes(await columns(session, mailbox));
    case 'SIZE':
      return mailbox.bytes;
    case 'HIGHESTMODSEQ':
      return mailbox.modSeq;
    case 'APPENDLIMIT':
      return session.env.config.appendSizeBytesMax;
  }
}

const columns = (session: ImapSession, mailbox: Mailbox): Promise<Columns | undefined> =>
  session.env.store.columns(session.account, mailbox.id);

async function countRecent(session: ImapSession, mailbox: Mailbox): Promise<number> {
  const span = mailbox.uidNext - mailbox.recentUid;
  if (span <= 0 || mailbox.total === 0) return 0;
  if (span > RECENT_ROWS_MAX) {
    const uids = (await columns(session, mailbox))?.uids ?? new Uint32Array(0);
    let count = 0;
    while (count < uids.length && uids[uids.length - 1 - count]! >= mailbox.recentUid) count++;
    return count;
  }
  const uids = Uint32Array.from({ length: span }, (_, i) => mailbox.recentUid + i);
  return (await session.env.store.rows(session.account, mailbox.id, uids)).length;
}

function deletedBytes(messages: Columns | undefined): number {
  if (messages === undefined) return 0;
  const deleted = messages.flagSets.map((flags) => flags.includes('\\Deleted'));
  let bytes = 0;
  for (let i = 0; i < messages.uids.length; i++) if (deleted[messages.flags[i]!]) bytes += messages.sizes[i]!;
  return bytes;
}
