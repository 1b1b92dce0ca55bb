/** DELE: marks a message; it is there until QUIT. */

import type { CommandSpec } from '../command.ts';

export const dele: CommandSpec = {
  name: 'DELE',
  states: ['transaction'],
  rfc: 'RFC 1939 §5',
  argument: 'required',
  run(session, argument) {
    session.maildrop.mark(session.maildrop.number(argument));
    session.ok('Marked as deleted');
  },
};
