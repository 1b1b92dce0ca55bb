/** MOVE: messages named by sequence number, into another mailbox. */

import { type CommandSpec, SELECTED } from '../command.ts';
import { type CopyArgs, parseCopy, runMove } from '../copy-run.ts';

export const move: CommandSpec<CopyArgs> = {
  name: 'MOVE',
  states: SELECTED,
  rfc: 'RFC 9051 §6.4.8',
  parse: parseCopy,
  run: (session, args) => runMove(session, args, false),
};
