/** UIDL: the unique-id of one message or of all. */

import type { CommandSpec } from '../command.ts';
import { writeListing } from '../listing.ts';

export const uidl: CommandSpec = {
  name: 'UIDL',
  states: ['transaction'],
  rfc: 'RFC 1939 §7',
  argument: 'optional',
  async run(session, argument) {
    const { maildrop } = session;
    if (argument !== '') {
      const number = maildrop.number(argument);
      session.ok(`${number} ${maildrop.uniqueId(number)}`);
      return;
    }
    session.ok(`${maildrop.count} messages`);
    await writeListing(session, (n) => maildrop.uniqueId(n));
  },
};
