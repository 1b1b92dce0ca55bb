/** IDLE: tells what changes in the selected mailbox as soon as it is known, until the client says DONE. */

import { TemporaryError } from '../../mail/errors.ts';
import { BadSyntax } from '../bad-syntax.ts';
import { type CommandSpec, LOGGED_IN } from '../command.ts';

/** Between two looks at a store that does not answer. */
const AGAIN_MS = 3_000;

export const idle: CommandSpec<void> = {
  name: 'IDLE',
  states: LOGGED_IN,
  rfc: 'RFC 2177 §3',
  parse() {},
  async run(session) {
    const { input, out } = session;
    let stale = true;
    let resting = false;
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
        if (stale && !resting) {
          // A hint that comes meanwhile sets it again.
          stale = false;
          // Nobody waits for the store to hear what is known already.
          await input.flush();
          const trouble = await session.tellChanges(true);
          if (trouble instanceof TemporaryError) {
            // The client stays: a NO before its DONE would leave it with a line that is no command.
            stale = resting = true;
            void session.env.sleep(AGAIN_MS).then(() => {
              resting = false;
              input.wake();
            });
          } else if (trouble !== null) throw trouble;
          continue;
        }
        await input.more();
      }
    } finally {
      unsubscribe();
    }
  },
};
