/**
 * Proving who a client is, for every protocol. Back-off by address and by account is behind this interface, so it holds
 * over all protocols together; a wrong password takes the same time whether or not the user exists.
 */

import type { AccountId } from '../mail/ids.ts';
import type { ReplyKey } from '../mail/reply.ts';

export type AuthResult =
  | { readonly ok: true; readonly account: AccountId; readonly address: string }
  | { readonly ok: false; readonly reply: ReplyKey };

export interface ScramSecret {
  readonly iterations: number;
  readonly salt: Uint8Array;
  readonly storedKey: Uint8Array;
  readonly serverKey: Uint8Array;
}

export interface Attempt {
  /** Address of the client. */
  readonly remote: string;
  /** `smtp`, `imap`, `pop3`: for the log. */
  readonly protocol: string;
}

export interface Authenticator {
  /** Checks a password. `authzid` is '' or must name the same account. */
  password(attempt: Attempt, authcid: string, password: string, authzid: string): Promise<AuthResult>;
  /** Keys for SCRAM; for unknown users stable invented ones, so that the exchange fails at its end (RFC 5802 §9). */
  scram(attempt: Attempt, authcid: string): Promise<ScramSecret | { readonly reply: ReplyKey }>;
  /** Tells the outcome of a SCRAM exchange and gives the account. */
  scramDone(attempt: Attempt, authcid: string, authzid: string, proved: boolean): Promise<AuthResult>;
}
