/** UNSUBSCRIBE: takes a name off the list; one that is not on it is no error. */

import { type CommandSpec, LOGGED_IN } from '../command.ts';

export const unsubscribe: CommandSpec<string> = {
  name: 'UNSUBSCRIBE',
  states: LOGGED_IN,
  rfc: 'RFC 9051 §6.3.8',
  parse(parser) {
    parser.space();
    return parser.mailboxName();
  },
  async run(session, name) {
    const names = await session.env.store.subscriptions(session.account);
    if (names.includes(name)) await session.commit([{ t: 'subscribe', name, subscribed: false }]);
    return {};
  },
};
