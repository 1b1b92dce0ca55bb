/** NAMESPACE: one personal namespace, none of others. */

import { type CommandSpec, LOGGED_IN } from '../command.ts';
import { DELIMITER } from '../mailbox-name.ts';

export const namespace: CommandSpec<void> = {
  name: 'NAMESPACE',
  states: LOGGED_IN,
  rfc: 'RFC 2342 §5',
  parse() {},
  async run(session) {
    session.out.untagged(`NAMESPACE (("" "${DELIMITER}")) NIL NIL`);
    return {};
  },
};
