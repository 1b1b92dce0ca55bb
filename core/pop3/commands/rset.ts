/** RSET: takes the marks for deletion away. */

import type { CommandSpec } from '../command.ts';

export const rset: CommandSpec = {
  name: 'RSET',
  states: ['transaction'],
  rfc: 'RFC 1939 §5',
  argument: 'none',
  run(session) {
    session.maildrop.unmarkAll();
    session.ok(`${session.maildrop.count} messages`);
  },
};
