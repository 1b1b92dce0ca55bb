/**
 * What SMTP says about a message apart from its bytes (RFC 5321 §2.3.1), and what is known about the client that said
 * it. Addresses keep the bytes they came in; comparing them is the directory's work.
 */

import type { AccountId, SessionId } from './ids.ts';

/** A mailbox address as it was received, split at its last unquoted `@`. The local part has its quoting removed. */
export interface Address {
  readonly localPart: string;
  /** Lower-case A-labels or U-labels as received; an address literal keeps its brackets; '' for bare `postmaster`. */
  readonly domain: string;
}

/** One accepted recipient and the account it was resolved to when RCPT was answered. */
export interface Recipient {
  /** As given in RCPT TO, without the angle brackets. */
  readonly address: string;
  readonly account: AccountId;
  /** The part behind the first `+`, or '' (RFC 5233 §4). */
  readonly subaddress: string;
}

export interface Envelope {
  /** The reverse-path without brackets; '' for the null reverse-path. */
  readonly sender: string;
  readonly recipients: readonly Recipient[];
  readonly smtputf8: boolean;
  /** The BODY parameter, RFC 6152 and RFC 3030. */
  readonly body: '7BIT' | '8BITMIME' | 'BINARYMIME' | null;
}

export interface TlsInfo {
  /** For example `TLSv1.3`. */
  readonly version: string;
  readonly cipher: string;
}

/** The connection a message came through. */
export interface Client {
  readonly session: SessionId;
  readonly address: string;
  readonly port: number;
  /** The HELO, EHLO or LHLO argument. */
  readonly helo: string;
  /** Transmission type for the `with` clause, RFC 3848 and RFC 6531 §4.3: `ESMTPSA`, `LMTP`, … */
  readonly protocol: string;
  readonly tls: TlsInfo | null;
  /** The account that authenticated, for submissions. */
  readonly account: AccountId | null;
  /** The name that it logged in with. */
  readonly user: string | null;
}
