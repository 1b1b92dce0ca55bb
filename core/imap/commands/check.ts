/** CHECK: a checkpoint of the selected mailbox. Every commit is durable already, so there is nothing to do. */

import { type CommandSpec, SELECTED } from '../command.ts';

export const check: CommandSpec<void> = {
  name: 'CHECK',
  states: SELECTED,
  rfc: 'RFC 3501 §6.4.1',
  parse() {},
  run: async () => ({}),
};
