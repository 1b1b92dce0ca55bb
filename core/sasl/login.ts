/**
 * LOGIN, the older mechanism that mail clients still offer first: a user name, then a password, each asked for. It has
 * no RFC; an initial response is taken for the user name, as clients mean it.
 */

import type { Attempt, Authenticator } from './authenticator.ts';
import { refuse, responseText, type SaslServer } from './step.ts';

export function login(authenticator: Authenticator, attempt: Attempt): SaslServer {
  let user: string | null = null;
  return {
    async step(response) {
      if (response === null) return { challenge: Buffer.from('Username:') };
      const text = responseText(response);
      if (text === null || text.includes('\0')) return refuse('authenticationMalformed');
      if (user === null) {
        user = text;
        return { challenge: Buffer.from('Password:') };
      }
      if (user === '' || text === '') return refuse('authenticationFailed');
      return { result: await authenticator.password(attempt, user, text, '') };
    },
  };
}
