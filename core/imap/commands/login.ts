/** LOGIN: user name and password in the clear, so only over TLS unless the operator allows it. */

import { ClientError } from '../../mail/errors.ts';
import type { AuthResult } from '../../sasl/authenticator.ts';
import { capabilities, mayAuthenticate } from '../capability.ts';
import type { CommandSpec, Completion } from '../command.ts';
import type { ImapSession } from '../session.ts';

export const login: CommandSpec<{ readonly user: string; readonly password: string }> = {
  name: 'LOGIN',
  states: ['not-authenticated'],
  rfc: 'RFC 9051 §6.2.3',
  parse(parser) {
    parser.space();
    const user = parser.astringText();
    parser.space();
    return { user, password: parser.astringText() };
  },
  async run(session, { user, password }) {
    if (!mayAuthenticate(session)) throw new ClientError('encryptionRequired');
    // An empty name or password is never right, and not worth a guess of the client's allowance.
    if (user === '' || password === '') throw new ClientError('authenticationFailed');
    const attempt = { remote: session.wire.remote.address, protocol: 'imap' };
    return finishLogin(session, await session.env.authenticator.password(attempt, user, password, ''));
  },
};

/** Enters the authenticated state, or throws the refusal. */
export function finishLogin(session: ImapSession, result: AuthResult): Completion {
  if (!result.ok) throw new ClientError(result.reply);
  session.loggedIn(result.account, result.address);
  session.log('imap.login');
  // RFC 9051 §6.2.3: saves the client a CAPABILITY.
  return { code: `CAPABILITY ${capabilities(session)}`, text: 'Logged in' };
}
