/**
 * All names of an account that LIST and LSUB can show: mailboxes, levels above mailboxes that are none themselves, and
 * subscribed names, each with its attributes (RFC 9051 §7.3.1).
 */

import type { Mailbox, Role } from '../ports/mail-store.ts';
import { parents } from './mailbox-name.ts';
import type { ImapSession } from './session.ts';

export interface TreeEntry {
  readonly name: string;
  /** null where the name only has children, or is only subscribed. */
  readonly mailbox: Mailbox | null;
  readonly hasChildren: boolean;
  readonly subscribed: boolean;
}

interface Draft {
  mailbox: Mailbox | null;
  hasChildren: boolean;
  subscribed: boolean;
}

/** INBOX first, then by the names' characters. */
export async function mailboxTree(session: ImapSession, withSubscriptions: boolean): Promise<TreeEntry[]> {
  const { store } = session.env;
  const mailboxes = await store.mailboxes(session.account);
  const subscriptions = withSubscriptions ? await store.subscriptions(session.account) : [];
  const drafts = new Map<string, Draft>();
  const draft = (name: string): Draft => {
    const known = drafts.get(name);
    if (known !== undefined) return known;
    const entry: Draft = { mailbox: null, hasChildren: false, subscribed: false };
    drafts.set(name, entry);
    return entry;
  };
  for (const mailbox of mailboxes) {
    draft(mailbox.name).mailbox = mailbox;
    for (const parent of parents(mailbox.name)) draft(parent).hasChildren = true;
  }
  for (const name of subscriptions) draft(name).subscribed = true;
  return [...drafts].map(([name, entry]) => ({ name, ...entry })).sort(byName);
}

function byName(a: TreeEntry, b: TreeEntry): number {
  if (a.name === b.name) return 0;
  if (a.name === 'INBOX') return -1;
  if (b.name === 'INBOX') return 1;
  return a.name < b.name ? -1 : 1;
}

/** RFC 6154 §2. The inbox has no attribute of its own. */
const SPECIAL_USE: Readonly<Record<Role, string | null>> = {
  inbox: null,
  drafts: '\\Drafts',
  sent: '\\Sent',
  junk: '\\Junk',
  trash: '\\Trash',
  archive: '\\Archive',
};

export const specialUse = (entry: TreeEntry): string | null => {
  const role = entry.mailbox?.role ?? null;
  return role === null ? null : SPECIAL_USE[role];
};
