/** CLOSE: takes messages with \Deleted out without telling (RFC 9051 §6.4.1), then leaves the mailbox. */

import { type CommandSpec, SELECTED } from '../command.ts';
import { expungeDeleted } from '../expunge-run.ts';

export const close: CommandSpec<void> = {
  name: 'CLOSE',
  states: SELECTED,
  rfc: 'RFC 9051 §6.4.1',
  parse() {},
  async run(session) {
    if (!session.view.readOnly) await expungeDeleted(session, null);
    session.select(null);
    return {};
  },
};
