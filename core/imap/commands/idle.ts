/** IDLE: tells what changes in the selected mailbox as soon as it is known, until the client says DONE. */

import { BadSyntax } from '../bad-syntax.ts';
import { type CommandSpec, LOGGED_IN } from '../command.ts';

export const idle: CommandSpec<void> = {
  name: 'IDLE',
  states: LOGGED_IN,
  rfc: 'RFC 2177 §3',
  parse() {},
  async run(session) {
    const { input, out } = session;
    let stale = true;
    const unsubscribe = session.env.changes(session.account)((hint) => {
      const mailbox = session.selected?.mailbox.id;
      // None named: any may have changed.
      if (mailbox === undefined || (hint.mailboxes.length > 0 && !hint.mailboxes.includes(mailbox))) return;
      stale = true;
      input.wake();
    });
    try {
      out.ascii('+ idling\r\n');
      for (;;) {
        const line = input.tryLine();
        if (line !== null) {
          if (Buffer.from(line).toString('latin1').toUpperCase() !== 'DONE') throw new BadSyntax('Expected DONE');
          return {};
        }
        if (stale) {
          stale = false;
          await session.selected?.poll({ expunge: true });
          session.selected?.writeHighestModSeq();
          // A hint that came meanwhile has set it again.
          continue;
        }
        await input.more();
      }
    } finally {
      unsubscribe();
    }
  },
};
