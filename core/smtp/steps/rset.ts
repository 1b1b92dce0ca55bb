/** RSET (RFC 5321 §4.1.1.5): forgets the transaction; greeting, TLS and login stay. */

import type { Step } from '../step.ts';
import { EVERYWHERE } from '../step.ts';

export const rset: Step = {
  verb: 'RSET',
  kinds: EVERYWHERE,
  rfc: 'RFC 5321 §4.1.1.5',
  corked: true,
  run(session, argument) {
    if (argument !== '') return session.reply('syntaxError');
    session.reset();
    session.reply('ok');
  },
};
