/** UID EXPUNGE: like EXPUNGE, of the messages named by uid only. */

import { type CommandSpec, SELECTED } from '../command.ts';
import { runExpunge } from '../expunge-run.ts';
import type { SequenceSet } from '../parser.ts';

export const uidExpunge: CommandSpec<SequenceSet> = {
  name: 'UID EXPUNGE',
  states: SELECTED,
  rfc: 'RFC 4315 §2.1',
  parse(parser) {
    parser.space();
    return parser.sequenceSet();
  },
  run: (session, set) => runExpunge(session, session.view.liveUids(session.view.resolve(set, true))),
};
