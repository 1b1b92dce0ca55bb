/** The mailboxes that every account begins with, with their special uses (RFC 6154). */

import type { MailboxId } from '../core/mail/ids.ts';
import type { Role } from '../core/ports/mail-store.ts';

const NAMES: readonly (readonly [name: string, role: Role])[] = [
  ['INBOX', 'inbox'],
  ['Drafts', 'drafts'],
  ['Sent', 'sent'],
  ['Junk', 'junk'],
  ['Trash', 'trash'],
  ['Archive', 'archive'],
];

export const startMailboxes = (newId: () => MailboxId) => NAMES.map(([name, role]) => ({ id: newId(), name, role }));
