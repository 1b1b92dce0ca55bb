/** What a file in commands/ exports: one POP3 command, the states it is allowed in and what its line may be. */

import type { Pop3Session, State } from './session.ts';

/** RFC 2449 §4. */
export const COMMAND_OCTETS_MAX = 255;

export interface CommandSpec {
  /** In capitals. */
  readonly name: string;
  readonly states: readonly State[];
  /** Document and section. */
  readonly rfc: string;
  readonly argument: 'none' | 'optional' | 'required';
  /** Of the line with its line end, where a longer one than COMMAND_OCTETS_MAX makes sense. */
  readonly octetsMax?: number;
  /** The argument is taken as it is, spaces at its end included. */
  readonly verbatim?: true;
  /** Does it and writes the whole response; throws a MailError for -ERR. */
  run(session: Pop3Session, argument: string): void | Promise<void>;
}
