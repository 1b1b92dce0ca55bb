/** PASS: the password of the USER right before. Spaces in it and at its end are a part of it. */

import { ClientError } from '../../mail/errors.ts';
import type { CommandSpec } from '../command.ts';
import { finishLogin } from '../login.ts';
import { CREDENTIAL_OCTETS_MAX } from './user.ts';

export const pass: CommandSpec = {
  name: 'PASS',
  states: ['authorization'],
  rfc: 'RFC 1939 §7',
  argument: 'required',
  octetsMax: CREDENTIAL_OCTETS_MAX,
  verbatim: true,
  async run(session, argument) {
    const { userGiven, env, wire } = session;
    session.userGiven = null;
    if (!session.mayAuthenticate) throw new ClientError('encryptionRequired');
    if (userGiven === null) throw new ClientError('badSequence');
    const attempt = { remote: wire.remote.address, protocol: 'pop3' };
    await finishLogin(session, await env.authenticator.password(attempt, userGiven, argument, ''));
  },
};
