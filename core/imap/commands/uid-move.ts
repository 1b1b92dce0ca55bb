/** UID MOVE: messages named by uid, into another mailbox. */

import { type CommandSpec, SELECTED } from '../command.ts';
import { type CopyArgs, parseCopy, runMove } from '../copy-run.ts';

export const uidMove: CommandSpec<CopyArgs> = {
  name: 'UID MOVE',
  states: SELECTED,
  rfc: 'RFC 9051 §6.4.9',
  parse: parseCopy,
  run: (session, args) => runMove(session, args, true),
};
