/** QUIT (RFC 5321 §4.1.1.10): a transaction that has not ended is forgotten. */

import type { Step } from '../step.ts';
import { EVERYWHERE } from '../step.ts';

export const quit: Step = {
  verb: 'QUIT',
  kinds: EVERYWHERE,
  rfc: 'RFC 5321 §4.1.1.10',
  run(session, argument) {
    if (argument !== '') return session.reply('syntaxError');
    session.close('closing');
  },
};
