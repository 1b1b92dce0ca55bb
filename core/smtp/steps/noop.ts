/** NOOP (RFC 5321 §4.1.1.9): nothing; a parameter is ignored. */

import type { Step } from '../step.ts';
import { EVERYWHERE } from '../step.ts';

export const noop: Step = {
  verb: 'NOOP',
  kinds: EVERYWHERE,
  rfc: 'RFC 5321 §4.1.1.9',
  run: (session) => session.reply('ok'),
};
