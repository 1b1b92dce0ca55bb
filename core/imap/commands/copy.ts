/** COPY: messages named by sequence number, into another mailbox. */

import { type CommandSpec, SELECTED } from '../command.ts';
import { type CopyArgs, parseCopy, runCopy } from '../copy-run.ts';

export const copy: CommandSpec<CopyArgs> = {
  name: 'COPY',
  states: SELECTED,
  rfc: 'RFC 9051 §6.4.7',
  parse: parseCopy,
  run: (session, args) => runCopy(session, args, false),
};
