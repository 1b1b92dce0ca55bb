/** CREATE: makes a mailbox and the levels above it that are missing (RFC 9051 §6.3.4), in one commit. */

import { ClientError } from '../../mail/errors.ts';
import type { MailboxId } from '../../mail/ids.ts';
import type { Mailbox, Op } from '../../ports/mail-store.ts';
import { type CommandSpec, LOGGED_IN } from '../command.ts';
import { checkMailboxName, DELIMITER, hasWildcard, parents } from '../mailbox-name.ts';
import type { ImapSession } from '../session.ts';

export const create: CommandSpec<string> = {
  name: 'CREATE',
  states: LOGGED_IN,
  rfc: 'RFC 9051 §6.3.4',
  parse(parser) {
    parser.space();
    return parser.mailboxName();
  },
  async run(session, given) {
    // RFC 9051 §6.3.4: a delimiter at the end only says that children will follow.
    const name = given.endsWith(DELIMITER) ? given.slice(0, -1) : given;
    const { ops } = newMailbox(session, name, await session.env.store.mailboxes(session.account));
    await commitNames(session, ops);
    return {};
  },
};

/** Operations that make `name` and its missing parents, and the id that it gets. */
export function newMailbox(
  session: ImapSession,
  name: string,
  mailboxes: readonly Mailbox[],
): { readonly ops: Op[]; readonly id: MailboxId } {
  checkMailboxName(name);
  if (hasWildcard(name)) throw new ClientError('mailboxName');
  const taken = new Set(mailboxes.map((mailbox) => mailbox.name));
  if (taken.has(name)) throw new ClientError('mailboxExists');
  const ops: Op[] = [...parents(name), name]
    .filter((level) => !taken.has(level))
    .map((level) => ({ t: 'createMailbox', id: session.env.newMailboxId(), name: level, role: null }));
  if (mailboxes.length + ops.length > session.env.config.mailboxesMax) throw new ClientError('limitReached');
  const last = ops.at(-1) as Op & { t: 'createMailbox' };
  return { ops, id: last.id };
}

/** Commits changes of names; what another session was faster with is NO. */
export async function commitNames(session: ImapSession, ops: readonly Op[]): Promise<void> {
  const { results } = await session.commit(ops);
  for (const result of results) {
    if (result.ok) continue;
    throw new ClientError(result.why === 'mailboxExists' ? 'mailboxExists' : 'mailboxUnknown', { why: result.why });
  }
}
