/** EXPUNGE: takes every message with \Deleted out of the mailbox. */

import { type CommandSpec, SELECTED } from '../command.ts';
import { runExpunge } from '../expunge-run.ts';

export const expunge: CommandSpec<void> = {
  name: 'EXPUNGE',
  states: SELECTED,
  rfc: 'RFC 9051 §6.4.3',
  parse() {},
  run: (session) => runExpunge(session, null),
};
