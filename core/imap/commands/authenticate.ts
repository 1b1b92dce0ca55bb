/** AUTHENTICATE: a SASL exchange in base64 lines, with an initial response where the client sends one (RFC 4959). */

import { ClientError } from '../../mail/errors.ts';
import { decodeBase64 } from '../../sasl/base64.ts';
import { saslServer } from '../../sasl/mechanism.ts';
import { BadSyntax } from '../bad-syntax.ts';
import { mayAuthenticate } from '../capability.ts';
import type { CommandSpec } from '../command.ts';
import type { ImapSession } from '../session.ts';
import { finishLogin } from './login.ts';

interface Args {
  readonly mechanism: string;
  readonly initial: Uint8Array | null;
}

export const authenticate: CommandSpec<Args> = {
  name: 'AUTHENTICATE',
  states: ['not-authenticated'],
  rfc: 'RFC 9051 §6.2.2',
  parse(parser) {
    parser.space();
    const mechanism = parser.atom();
    if (!parser.trySpace()) return { mechanism, initial: null };
    const text = parser.until((byte) => byte === 0x20);
    // RFC 4959 §3: `=` is an initial response of no bytes.
    return { mechanism, initial: text === '=' ? new Uint8Array(0) : base64(text) };
  },
  async run(session, { mechanism, initial }) {
    if (!mayAuthenticate(session)) throw new ClientError('encryptionRequired');
    const attempt = { remote: session.wire.remote.address, protocol: 'imap' };
    const server = saslServer(mechanism, session.env.authenticator, attempt, session.env.random);
    if (server === null) throw new ClientError('mechanismUnknown');
    let step = await server.step(initial);
    while ('challenge' in step) step = await server.step(await response(session, step.challenge));
    if (step.result.ok && step.final !== undefined) {
      // RFC 4422 §3.6: IMAP has no place for data in its OK, so it goes as one more challenge.
      const empty = await response(session, step.final);
      if (empty.length > 0) throw new ClientError('authenticationMalformed');
    }
    return finishLogin(session, step.result);
  },
};

async function response(session: ImapSession, challenge: Uint8Array): Promise<Uint8Array> {
  session.out.ascii(`+ ${Buffer.from(challenge).toString('base64')}\r\n`);
  const line = Buffer.from(await session.input.line()).toString('latin1');
  // RFC 9051 §6.2.2: the client gives up.
  if (line === '*') throw new BadSyntax('Authentication cancelled');
  return base64(line);
}

function base64(text: string): Uint8Array {
  const bytes = decodeBase64(text);
  if (bytes === null) throw new BadSyntax('Invalid base64');
  return bytes;
}
