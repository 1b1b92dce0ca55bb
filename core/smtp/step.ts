/** What a file in steps/ exports: one SMTP command, where it is known and how long its line may be. */

import type { SmtpKind } from './environment.ts';
import type { SmtpSession } from './session.ts';

export interface Step {
  /** In capitals. */
  readonly verb: string;
  readonly kinds: readonly SmtpKind[];
  /** Document and section. */
  readonly rfc: string;
  /** Of the command line with its CRLF; RFC 5321 §4.5.3.1.4's 512 unless an extension gives it more. */
  readonly octetsMax?: number;
  /** On the submission port: answered 530 before AUTH (RFC 4954 §6). */
  readonly needsAuth?: true;
  /** The reply may wait for those of other commands sent in one group (RFC 2920 §3.2 (2)). */
  readonly corked?: true;
  run(session: SmtpSession, argument: string): void | Promise<void>;
}

export const EVERYWHERE: readonly SmtpKind[] = ['smtp', 'lmtp', 'submission'];
