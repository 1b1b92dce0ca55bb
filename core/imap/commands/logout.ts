/** LOGOUT: says BYE, completes, and closes the connection. */

import { ANY_STATE, type CommandSpec } from '../command.ts';

export const logout: CommandSpec<void> = {
  name: 'LOGOUT',
  states: ANY_STATE,
  rfc: 'RFC 9051 §6.1.3',
  parse() {},
  async run(session) {
    session.select(null);
    session.out.untagged('BYE Logging out');
    session.closing = true;
    return {};
  },
};
