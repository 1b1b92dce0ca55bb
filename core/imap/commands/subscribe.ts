/** SUBSCRIBE: any valid name, whether or not there is such a mailbox (RFC 9051 §6.3.7). */

import { ClientError } from '../../mail/errors.ts';
import { type CommandSpec, LOGGED_IN } from '../command.ts';
import { checkMailboxName } from '../mailbox-name.ts';

export const subscribe: CommandSpec<string> = {
  name: 'SUBSCRIBE',
  states: LOGGED_IN,
  rfc: 'RFC 9051 §6.3.7',
  parse(parser) {
    parser.space();
    return parser.mailboxName();
  },
  async run(session, name) {
    checkMailboxName(name);
    const names = await session.env.store.subscriptions(session.account);
    if (names.includes(name)) return {};
    if (names.length >= session.env.config.mailboxesMax) throw new ClientError('limitReached');
    await session.commit([{ t: 'subscribe', name, subscribed: true }]);
    return {};
  },
};
