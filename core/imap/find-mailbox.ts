/** From a mailbox's name to the mailbox, or the NO that says there is none. */

import { ClientError } from '../mail/errors.ts';
import type { ReplyKey } from '../mail/reply.ts';
import type { Mailbox } from '../ports/mail-store.ts';
import type { ImapSession } from './session.ts';

/** @param otherwise `tryCreate` where the client could make it (RFC 9051 §6.3.12, §6.4.7) */
export async function findMailbox(
  session: ImapSession,
  name: string,
  otherwise: ReplyKey = 'mailboxUnknown',
): Promise<Mailbox> {
  const mailboxes = await session.env.store.mailboxes(session.account);
  const mailbox = mailboxes.find((candidate) => candidate.name === name);
  if (mailbox === undefined) throw new ClientError(otherwise);
  return mailbox;
}
