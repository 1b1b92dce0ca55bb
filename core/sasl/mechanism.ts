/**
 * SASL (RFC 4422) from the server's side, for every protocol: a mechanism takes the client's decoded responses one by
 * one and gives challenges until there is a result. Base64 and cancelling are the protocol's, checking the password is
 * the Authenticator's.
 */

import type { Attempt, Authenticator } from './authenticator.ts';
import { login } from './login.ts';
import { plain } from './plain.ts';
import { scramSha256 } from './scram-sha-256.ts';
import type { SaslServer } from './step.ts';

const NONCE_BYTES = 18;

/**
 * One exchange, or null where the mechanism is unknown. Names compare without case.
 * @param random gives that many random bytes
 */
export function saslServer(
  mechanism: string,
  authenticator: Authenticator,
  attempt: Attempt,
  random: (length: number) => Uint8Array,
): SaslServer | null {
  switch (mechanism.toUpperCase()) {
    case 'PLAIN':
      return plain(authenticator, attempt);
    case 'LOGIN':
      return login(authenticator, attempt);
    case 'SCRAM-SHA-256':
      return scramSha256(authenticator, attempt, Buffer.from(random(NONCE_BYTES)).toString('base64'));
    default:
      return null;
  }
}
