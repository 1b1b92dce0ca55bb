/** DELETE: removes a mailbox with its messages. Its children stay, and its name then as a level without a mailbox. */

import { ClientError } from '../../mail/errors.ts';
import { type CommandSpec, LOGGED_IN } from '../command.ts';
import { findMailbox } from '../find-mailbox.ts';
import { commitNames } from './create.ts';

export const deleteMailbox: CommandSpec<string> = {
  name: 'DELETE',
  states: LOGGED_IN,
  rfc: 'RFC 9051 §6.3.5',
  parse(parser) {
    parser.space();
    return parser.mailboxName();
  },
  async run(session, name) {
    if (name === 'INBOX') throw new ClientError('mailboxName');
    const mailbox = await findMailbox(session, name);
    await commitNames(session, [{ t: 'deleteMailbox', mailbox: mailbox.id }]);
    if (session.selected?.mailbox.id === mailbox.id) session.select(null);
    return {};
  },
};
