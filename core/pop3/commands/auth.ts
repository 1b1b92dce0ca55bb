/** AUTH: a SASL exchange in base64 lines, with an initial response where the client sends one. */

import { ClientError } from '../../mail/errors.ts';
import { decodeBase64 } from '../../sasl/base64.ts';
import { saslServer } from '../../sasl/mechanism.ts';
import type { SaslServer } from '../../sasl/step.ts';
import type { CommandSpec } from '../command.ts';
import type { Line } from '../line-reader.ts';
import { finishLogin } from '../login.ts';
import type { Pop3Session } from '../session.ts';

export const MECHANISMS: readonly string[] = ['PLAIN', 'SCRAM-SHA-256'];

/** What mechanisms need, as RFC 4954 §4 counts it: the longest line there is. */
export const AUTH_OCTETS_MAX = 12_288;

export const auth: CommandSpec = {
  name: 'AUTH',
  states: ['authorization'],
  rfc: 'RFC 5034 §4',
  argument: 'required',
  octetsMax: AUTH_OCTETS_MAX,
  async run(session, argument) {
    if (!session.mayAuthenticate) throw new ClientError('encryptionRequired');
    const [name, initial, ...rest] = argument.split(' ') as [string, ...string[]];
    if (rest.length > 0) throw new ClientError('syntaxError');
    const mechanism = name.toUpperCase();
    const { env, wire } = session;
    const attempt = { remote: wire.remote.address, protocol: 'pop3' };
    const server = MECHANISMS.includes(mechanism)
      ? saslServer(mechanism, env.authenticator, attempt, (length) => env.random(length))
      : null;
    if (server === null) throw new ClientError('mechanismUnknown');
    if (initial === undefined) return step(session, server, null);
    // RFC 5034 §4: `=` is an initial response of no bytes.
    return step(session, server, initial === '=' ? new Uint8Array(0) : base64(initial));
  },
};

async function step(session: Pop3Session, server: SaslServer, response: Uint8Array | null): Promise<void> {
  const next = await server.step(response);
  if ('challenge' in next) ask(session, next.challenge, (bytes) => step(session, server, bytes));
  else if (next.result.ok && next.final !== undefined) {
    const { result } = next;
    // RFC 4422 §3.6: +OK has no place for data, so it goes as one more challenge.
    ask(session, next.final, (bytes) => {
      if (bytes.length > 0) throw new ClientError('authenticationMalformed');
      return finishLogin(session, result);
    });
  } else await finishLogin(session, next.result);
}

function ask(session: Pop3Session, challenge: Uint8Array, take: (response: Uint8Array) => Promise<void>): void {
  session.out.text(`+ ${Buffer.from(challenge).toString('base64')}\r\n`);
  session.lineTaker = async (line) => {
    session.lineTaker = null;
    await take(responseOf(line));
  };
}

function responseOf(line: Line): Uint8Array {
  if (line.t === 'tooLong') throw new ClientError('authenticationLineTooLong');
  if (line.t !== 'line') throw new ClientError('authenticationMalformed');
  // RFC 5034 §4: the client gives up.
  if (line.text === '*') throw new ClientError('authenticationCancelled');
  return base64(line.text);
}

function base64(text: string): Uint8Array {
  const bytes = decodeBase64(text);
  if (bytes === null) throw new ClientError('authenticationMalformed');
  return bytes;
}
