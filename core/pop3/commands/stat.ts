/** STAT: how many messages and octets there are, those marked as deleted left out. */

import type { CommandSpec } from '../command.ts';

export const stat: CommandSpec = {
  name: 'STAT',
  states: ['transaction'],
  rfc: 'RFC 1939 §5',
  argument: 'none',
  async run(session) {
    const { maildrop } = session;
    await maildrop.measure();
    let total = 0;
    for (let n = 1; n <= maildrop.last; n++) if (!maildrop.isMarked(n)) total += maildrop.sizeBytes(n);
    session.ok(`${maildrop.count} ${total}`);
  },
};
