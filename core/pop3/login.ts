/** From a right password or proof to an open maildrop: its lock first, then the picture of it that the session works on. */

import { ClientError, TemporaryError } from '../mail/errors.ts';
import type { AuthResult } from '../sasl/authenticator.ts';
import { Maildrop } from './maildrop.ts';
import type { Pop3Session } from './session.ts';

export async function finishLogin(session: Pop3Session, result: AuthResult): Promise<void> {
  if (!result.ok) throw new ClientError(result.reply);
  const { env } = session;
  const release = await env.acquire(result.account);
  // RFC 2449 §8.1.2: the login was right, so the client should not ask for another password.
  if (release === null) throw new TemporaryError('mailboxInUse', { account: result.account });
  try {
    session.enter(await Maildrop.open(env, result.account), result.address, release);
  } catch (thrown) {
    release();
    throw thrown;
  }
  session.log('pop3.login', { account: result.account });
  session.ok(`Logged in, ${session.maildrop.count} messages`);
}
