/** USER: the name; whether there is such a user is not said (RFC 1939 §13). */

import { ClientError } from '../../mail/errors.ts';
import { saslPrep } from '../../sasl/saslprep.ts';
import type { CommandSpec } from '../command.ts';

/** Of USER and PASS: longer than RFC 2449 §4 wants, for any address and any password. */
export const CREDENTIAL_OCTETS_MAX = 1_024;

export const user: CommandSpec = {
  name: 'USER',
  states: ['authorization'],
  rfc: 'RFC 1939 §7',
  argument: 'required',
  octetsMax: CREDENTIAL_OCTETS_MAX,
  run(session, argument) {
    if (!session.mayAuthenticate) throw new ClientError('encryptionRequired');
    // RFC 6856 §2.2: names may be in UTF-8, before UTF8 is said too.
    session.userGiven = saslPrep(argument);
    session.ok('Send PASS');
  },
};
