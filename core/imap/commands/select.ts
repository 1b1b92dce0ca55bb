/** SELECT: opens a mailbox. */

import { type CommandSpec, LOGGED_IN } from '../command.ts';
import { parseSelect, type SelectArgs } from '../select-args.ts';
import { runSelect } from '../select-run.ts';

export const select: CommandSpec<SelectArgs> = {
  name: 'SELECT',
  states: LOGGED_IN,
  rfc: 'RFC 9051 §6.3.2',
  parse: parseSelect,
  run: (session, args) => runSelect(session, args, false),
};
