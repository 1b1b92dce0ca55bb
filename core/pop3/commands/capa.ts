/** CAPA: what this server can do, and what of it may be used now. */

import type { CommandSpec } from '../command.ts';
import { MECHANISMS } from './auth.ts';

export const capa: CommandSpec = {
  name: 'CAPA',
  states: ['authorization', 'transaction'],
  rfc: 'RFC 2449 §5',
  argument: 'none',
  run(session) {
    const { wire, env } = session;
    const lines = ['TOP', 'UIDL', 'RESP-CODES', 'AUTH-RESP-CODE', 'PIPELINING', 'EXPIRE NEVER', 'UTF8 USER'];
    // Nobody is led to send a password in the clear.
    if (session.mayAuthenticate) lines.push('USER', `SASL ${MECHANISMS.join(' ')}`);
    // RFC 2595 §8: announced in the AUTHORIZATION state only.
    if (session.state === 'authorization' && wire.canStartTls) lines.push('STLS');
    lines.push(`IMPLEMENTATION Mailmesh-${env.config.version}`);
    session.ok('Capability list follows');
    session.out.text(`${lines.join('\r\n')}\r\n.\r\n`);
  },
};
