/** PLAIN, RFC 4616: `[authzid] NUL authcid NUL passwd` in one response; the password is taken byte for byte. */

import type { Attempt, Authenticator } from './authenticator.ts';
import { EMPTY, refuse, responseText, type SaslServer } from './step.ts';

export const plain = (authenticator: Authenticator, attempt: Attempt): SaslServer => ({
  async step(response) {
    if (response === null) return { challenge: EMPTY };
    const parts = responseText(response)?.split('\0');
    // RFC 4616 §2: exactly two NULs; authcid and passwd are one character or more.
    if (parts?.length !== 3) return refuse('authenticationMalformed');
    const [authzid, authcid, password] = parts as [string, string, string];
    if (authcid === '' || password === '') return refuse('authenticationFailed');
    return { result: await authenticator.password(attempt, authcid, password, authzid) };
  },
});
