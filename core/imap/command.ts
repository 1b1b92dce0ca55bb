/**
 * What a command file exports: its name, the states it is allowed in, how its arguments are read and what it does. The
 * table in command-table.ts lists them all.
 */

import type { ArgParser } from './parser.ts';
import type { LiteralHeader } from './reader.ts';
import type { ImapSession } from './session.ts';
import type { State } from './state.ts';

export { ANY_STATE, LOGGED_IN, SELECTED } from './state.ts';

export interface CommandSpec<Args> {
  /** In capitals, for example `FETCH` or `UID FETCH`. */
  readonly name: string;
  readonly states: readonly State[];
  /** Document and section. */
  readonly rfc: string;
  /** RFC 9051 §7.5.1: no EXPUNGE may be told in answer to it (FETCH, STORE, SEARCH by sequence number). */
  readonly holdsExpunge?: true;
  /** Reads everything behind the command's name; throws BadSyntax. The parser checks that nothing is left. */
  parse(parser: ArgParser): Args;
  /** Does it, and returns the tagged OK's code and text; throws MailError for NO. */
  run(session: ImapSession, args: Args): Promise<Completion>;
  /**
   * For a command whose last argument is a literal too large for memory (APPEND): called instead of `run` when that
   * literal was announced and everything before it is parsed. It takes the literal's bytes from the session's input.
   */
  stream?(session: ImapSession, args: Args, literal: LiteralHeader): Promise<Completion>;
}

/** The tagged OK: `{ code: 'READ-WRITE', text: 'SELECT completed' }`. */
export interface Completion {
  readonly code?: string;
  readonly text?: string;
  /** Done once the tagged response is written (STARTTLS). */
  readonly after?: () => Promise<void>;
}
