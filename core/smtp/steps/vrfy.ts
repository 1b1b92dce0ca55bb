/** VRFY (RFC 5321 §3.5.3, §7.3): says neither yes nor no, so that nobody can collect addresses with it. */

import type { Step } from '../step.ts';
import { EVERYWHERE } from '../step.ts';

export const vrfy: Step = {
  verb: 'VRFY',
  kinds: EVERYWHERE,
  rfc: 'RFC 5321 §4.1.1.6',
  needsAuth: true,
  run: (session, argument) => session.reply(argument === '' ? 'syntaxError' : 'cannotVerify'),
};
