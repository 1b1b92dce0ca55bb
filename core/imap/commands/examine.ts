/** EXAMINE: opens a mailbox to be read only; nothing about it changes, \\Recent included. */

import { type CommandSpec, LOGGED_IN } from '../command.ts';
import { parseSelect, type SelectArgs } from '../select-args.ts';
import { runSelect } from '../select-run.ts';

export const examine: CommandSpec<SelectArgs> = {
  name: 'EXAMINE',
  states: LOGGED_IN,
  rfc: 'RFC 9051 §6.3.3',
  parse: parseSelect,
  run: (session, args) => runSelect(session, args, true),
};
