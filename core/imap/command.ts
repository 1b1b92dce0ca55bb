/**
 * What a command file exports: its name, the states it is allowed in, how its arguments are read and what it does. The
 * table in command-table.ts lists them all.
 */

import type { ArgParser } from './parser.ts';
import type { ImapSession } from './session.ts';

/** RFC 9051 §3. */
export type State = 'not-authenticated' | 'authenticated' | 'selected';

export interface CommandSpec<Args> {
  /** In capitals, for example `FETCH` or `UID FETCH`. */
  readonly name: string;
  readonly states: readonly State[];
  /** Document and section. */
  readonly rfc: string;
  /** Reads everything behind the command's name; throws BadSyntax. The parser checks that nothing is left. */
  parse(parser: ArgParser): Args;
  /** Does it, and returns the tagged OK's code and text; throws MailError for NO. */
  run(session: ImapSession, args: Args): Promise<Completion>;
}

/** The tagged OK: `{ code: 'READ-WRITE', text: 'SELECT completed' }`. */
export interface Completion {
  readonly code?: string;
  readonly text?: string;
}
