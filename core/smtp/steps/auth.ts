/**
 * AUTH (RFC 4954): carries a SASL exchange in base64 lines. SMTP can't send data with its success reply, so a
 * mechanism's final message goes out as one more challenge, which the client answers with an empty line.
 */

import type { AuthResult } from '../../sasl/authenticator.ts';
import { decodeBase64 } from '../../sasl/base64.ts';
import { saslServer } from '../../sasl/mechanism.ts';
import type { SaslServer } from '../../sasl/step.ts';
import type { Line } from '../line-reader.ts';
import type { SmtpSession } from '../session.ts';
import type { Step } from '../step.ts';

/** RFC 4954 §4: what mechanisms need; the line reader's own limit. */
export const AUTH_OCTETS_MAX = 12_288;

const challenge = (session: SmtpSession, bytes: Uint8Array): void =>
  session.line(`334 ${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64')}`);

async function begin(session: SmtpSession, argument: string): Promise<void> {
  // RFC 4954 §4: never inside a transaction, and never again after a success.
  if (session.helo === null || session.account !== null || session.transaction !== null) {
    return session.reply('badSequence');
  }
  if (!session.authAllowed) return session.reply('encryptionRequired');
  const [mechanism, initial, ...rest] = argument.split(' ');
  if (mechanism === undefined || mechanism === '' || rest.length > 0) return session.reply('syntaxError');
  const attempt = { remote: session.wire.remote.address, protocol: 'smtp' };
  const sasl = saslServer(mechanism, session.env.authenticator, attempt, (length) => session.env.random(length));
  if (sasl === null) return session.reply('mechanismUnknown');
  if (initial === undefined) return step(session, sasl, null);
  // RFC 4954 §4: `=` is an initial response of no bytes.
  const response = initial === '=' ? new Uint8Array(0) : decodeBase64(initial);
  if (response === null || initial === '') return session.reply('authenticationMalformed');
  return step(session, sasl, response);
}

async function step(session: SmtpSession, sasl: SaslServer, response: Uint8Array | null): Promise<void> {
  const next = await sasl.step(response);
  if ('challenge' in next) {
    challenge(session, next.challenge);
    session.lineTaker = (line) => continueWith(session, line, (bytes) => step(session, sasl, bytes));
  } else if (next.result.ok && next.final !== undefined) {
    const { result } = next;
    challenge(session, next.final);
    session.lineTaker = (line) =>
      continueWith(session, line, (bytes) => {
        if (bytes.length > 0) session.reply('authenticationMalformed');
        else finish(session, result);
      });
  } else finish(session, next.result);
}

function continueWith(
  session: SmtpSession,
  line: Line,
  take: (response: Uint8Array) => void | Promise<void>,
): void | Promise<void> {
  session.lineTaker = null;
  if (line.t === 'tooLong') return session.reply('authenticationLineTooLong');
  if (line.t === 'line' && line.text === '*') return session.reply('authenticationCancelled');
  const response = line.t === 'line' ? decodeBase64(line.text) : null;
  return response === null ? session.reply('authenticationMalformed') : take(response);
}

function finish(session: SmtpSession, result: AuthResult): void {
  const facts = { session: session.wire.session, remote: session.wire.remote.address };
  if (!result.ok) {
    session.env.log('login refused', { ...facts, reply: result.reply });
    session.reply(result.reply);
    return;
  }
  session.account = result.account;
  session.user = result.address;
  session.env.log('login', { ...facts, account: result.account, user: result.address });
  session.reply('authenticated');
}

export const auth: Step = {
  verb: 'AUTH',
  kinds: ['submission'],
  rfc: 'RFC 4954 §4',
  octetsMax: AUTH_OCTETS_MAX,
  run: begin,
};
