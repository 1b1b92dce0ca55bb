/**
 * RENAME: gives a mailbox and all below it another name in one commit. Renaming the inbox moves its messages into a new
 * mailbox and leaves it and its children where they are (RFC 9051 §6.3.6).
 */

import { ClientError } from '../../mail/errors.ts';
import type { Mailbox, Op } from '../../ports/mail-store.ts';
import { type CommandSpec, LOGGED_IN } from '../command.ts';
import { checkMailboxName, DELIMITER, hasWildcard, parents } from '../mailbox-name.ts';
import type { ImapSession } from '../session.ts';
import { commitNames, newMailbox } from './create.ts';

/** Of one commit, as the mail store's port has it. */
const OPS_MAX = 1000;

interface Args {
  readonly from: string;
  readonly to: string;
}

export const rename: CommandSpec<Args> = {
  name: 'RENAME',
  states: LOGGED_IN,
  rfc: 'RFC 9051 §6.3.6',
  parse(parser) {
    parser.space();
    const from = parser.mailboxName();
    parser.space();
    const given = parser.mailboxName();
    return { from, to: given.endsWith(DELIMITER) ? given.slice(0, -1) : given };
  },
  async run(session, args) {
    const mailboxes = await session.env.store.mailboxes(session.account);
    const ops =
      args.from === 'INBOX' ? await moveInbox(session, args.to, mailboxes) : moveTree(session, args, mailboxes);
    if (ops.length > OPS_MAX) throw new ClientError('limitReached');
    await commitNames(session, ops);
    return {};
  },
};

async function moveInbox(session: ImapSession, to: string, mailboxes: readonly Mailbox[]): Promise<Op[]> {
  const inbox = mailboxes.find((mailbox) => mailbox.name === 'INBOX');
  if (inbox === undefined) throw new ClientError('mailboxUnknown');
  const { ops, id } = newMailbox(session, to, mailboxes);
  const columns = await session.env.store.columns(session.account, inbox.id);
  if (columns !== undefined && columns.uids.length > 0) {
    ops.push({ t: 'move', from: inbox.id, uids: columns.uids, to: id });
  }
  return ops;
}

function moveTree(session: ImapSession, { from, to }: Args, mailboxes: readonly Mailbox[]): Op[] {
  const below = from + DELIMITER;
  const moved = mailboxes.filter((mailbox) => mailbox.name === from || mailbox.name.startsWith(below));
  if (moved.length === 0) throw new ClientError('mailboxUnknown');
  // Into itself: the new parent would be the mailbox that is being moved away.
  if (to.startsWith(below) || hasWildcard(to)) throw new ClientError('mailboxName');
  const names = new Set(mailboxes.map((mailbox) => mailbox.name));
  if (to === from || names.has(to)) throw new ClientError('mailboxExists');
  const ops: Op[] = [];
  for (const mailbox of moved) {
    const name = to + mailbox.name.slice(from.length);
    checkMailboxName(name);
    if (names.has(name)) throw new ClientError('mailboxExists');
    ops.push({ t: 'updateMailbox', mailbox: mailbox.id, name });
  }
  // RFC 9051 §6.3.6: levels above the new name are made as by CREATE.
  for (const level of parents(to)) {
    if (names.has(level)) continue;
    ops.push({ t: 'createMailbox', id: session.env.newMailboxId(), name: level, role: null });
  }
  return ops;
}
