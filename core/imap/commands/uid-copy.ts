/** UID COPY: messages named by uid, into another mailbox. */

import { type CommandSpec, SELECTED } from '../command.ts';
import { type CopyArgs, parseCopy, runCopy } from '../copy-run.ts';

export const uidCopy: CommandSpec<CopyArgs> = {
  name: 'UID COPY',
  states: SELECTED,
  rfc: 'RFC 9051 §6.4.9',
  parse: parseCopy,
  run: (session, args) => runCopy(session, args, true),
};
