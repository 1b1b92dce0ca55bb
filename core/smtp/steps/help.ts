/** HELP (RFC 5321 §4.1.1.8). */

import type { Step } from '../step.ts';
import { EVERYWHERE } from '../step.ts';

export const help: Step = {
  verb: 'HELP',
  kinds: EVERYWHERE,
  rfc: 'RFC 5321 §4.1.1.8',
  run: (session) => session.reply('help'),
};
