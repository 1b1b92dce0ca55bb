/** RETR: a whole message. */

import type { CommandSpec } from '../command.ts';
import { sendMessage } from '../send-message.ts';

export const retr: CommandSpec = {
  name: 'RETR',
  states: ['transaction'],
  rfc: 'RFC 1939 §5',
  argument: 'required',
  async run(session, argument) {
    const { maildrop } = session;
    await sendMessage(session, await maildrop.content(maildrop.number(argument)), null);
  },
};
