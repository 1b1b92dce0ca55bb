/** GETQUOTAROOT: which quota root counts a mailbox, and its use and limits. */

import { type CommandSpec, LOGGED_IN } from '../command.ts';
import { findMailbox } from '../find-mailbox.ts';
import { writeQuota } from '../quota.ts';

export const getQuotaRoot: CommandSpec<string> = {
  name: 'GETQUOTAROOT',
  states: LOGGED_IN,
  rfc: 'RFC 9208 §4.1.2',
  parse(parser) {
    parser.space();
    return parser.mailboxName();
  },
  async run(session, name) {
    await findMailbox(session, name);
    session.out.ascii('* QUOTAROOT ');
    session.writeMailboxName(name);
    session.out.ascii(' ""').crlf();
    await writeQuota(session);
    return {};
  },
};
