/** STARTTLS (RFC 3207): the reply goes out, then the engine turns TLS on and everything before it is forgotten. */

import type { Step } from '../step.ts';
import { EVERYWHERE } from '../step.ts';

export const starttls: Step = {
  verb: 'STARTTLS',
  kinds: EVERYWHERE,
  rfc: 'RFC 3207 §4',
  run(session, argument) {
    if (argument !== '') return session.reply('syntaxError');
    if (session.wire.tls !== null) return session.reply('badSequence');
    if (!session.wire.canStartTls) return session.reply('tlsUnavailable');
    session.reply('startTls');
    session.startTls = true;
  },
};
