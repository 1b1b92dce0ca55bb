/** LIST: the exact size of one message or of all. */

import type { CommandSpec } from '../command.ts';
import { writeListing } from '../listing.ts';

export const list: CommandSpec = {
  name: 'LIST',
  states: ['transaction'],
  rfc: 'RFC 1939 §5',
  argument: 'optional',
  async run(session, argument) {
    const { maildrop } = session;
    const number = argument === '' ? null : maildrop.number(argument);
    await maildrop.measure();
    if (number !== null) {
      session.ok(`${number} ${maildrop.sizeBytes(number)}`);
      return;
    }
    session.ok(`${maildrop.count} messages`);
    await writeListing(session, (n) => String(maildrop.sizeBytes(n)));
  },
};
