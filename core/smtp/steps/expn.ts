/** EXPN (RFC 5321 §3.5.2, §7.3): there are no lists to be shown. */

import type { Step } from '../step.ts';
import { EVERYWHERE } from '../step.ts';

export const expn: Step = {
  verb: 'EXPN',
  kinds: EVERYWHERE,
  rfc: 'RFC 5321 §4.1.1.7',
  needsAuth: true,
  run: (session) => session.reply('notImplemented'),
};
