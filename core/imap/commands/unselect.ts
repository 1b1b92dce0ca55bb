/** UNSELECT: leaves the mailbox and takes nothing out of it. */

import { type CommandSpec, SELECTED } from '../command.ts';

export const unselect: CommandSpec<void> = {
  name: 'UNSELECT',
  states: SELECTED,
  rfc: 'RFC 3691 §2',
  parse() {},
  async run(session) {
    session.select(null);
    return {};
  },
};
