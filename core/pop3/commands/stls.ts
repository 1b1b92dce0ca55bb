/** STLS: turns TLS on. Whatever the client has sent behind the command is thrown away, unfinished lines included. */

import { ClientError } from '../../mail/errors.ts';
import type { CommandSpec } from '../command.ts';

export const stls: CommandSpec = {
  name: 'STLS',
  states: ['authorization'],
  rfc: 'RFC 2595 §4',
  argument: 'none',
  run(session) {
    if (session.wire.tls !== null) throw new ClientError('badSequence');
    // RFC 6856 §2.1: not behind UTF8.
    if (session.utf8) throw new ClientError('badSequence');
    if (!session.wire.canStartTls) throw new ClientError('tlsUnavailable');
    session.ok('Begin TLS negotiation');
    session.startTls = true;
  },
};
