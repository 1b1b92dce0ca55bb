/** TOP: a message's header and the first lines of its body. */

import { ClientError } from '../../mail/errors.ts';
import type { CommandSpec } from '../command.ts';
import { sendMessage } from '../send-message.ts';

export const top: CommandSpec = {
  name: 'TOP',
  states: ['transaction'],
  rfc: 'RFC 1939 §7',
  argument: 'required',
  async run(session, argument) {
    const { maildrop } = session;
    const [which, lines, ...rest] = argument.split(' ') as [string, ...string[]];
    if (lines === undefined || rest.length > 0 || !/^[0-9]{1,10}$/.test(lines)) throw new ClientError('syntaxError');
    await sendMessage(session, await maildrop.content(maildrop.number(which)), Number(lines));
  },
};
