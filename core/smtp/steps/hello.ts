/**
 * HELO, EHLO and LHLO (RFC 5321 §4.1.1.1, RFC 2033 §4.1): who the client says it is, and what is offered. Only
 * extensions that are complete are offered; each begins a new session apart from TLS and login.
 */

import { isAddressLiteral } from '../../mail/address.ts';
import type { SmtpSession } from '../session.ts';
import type { Step } from '../step.ts';

/** A domain or address literal; underscores are taken too, since hosts that have them in their names exist. */
const isHelo = (text: string): boolean =>
  text.length <= 255 && (/^[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?\.?$/.test(text) || isAddressLiteral(text));

function greet(session: SmtpSession, argument: string, extended: boolean): void {
  if (!isHelo(argument)) {
    session.reply('syntaxError');
    return;
  }
  // RFC 5321 §4.1.4: it clears all buffers, as RSET does.
  session.reset();
  session.helo = argument;
  session.extended = extended;
  const lines = [session.env.config.hostname, ...(extended ? extensions(session) : [])];
  lines.forEach((text, i) => {
    session.line(`250${i === lines.length - 1 ? ' ' : '-'}${text}`);
  });
}

function extensions(session: SmtpSession): string[] {
  const { env, wire } = session;
  const offered = [
    'PIPELINING',
    `SIZE ${env.config.sizeBytesMax}`,
    '8BITMIME',
    'SMTPUTF8',
    'ENHANCEDSTATUSCODES',
    'CHUNKING',
  ];
  if (wire.tls === null && wire.canStartTls) offered.push('STARTTLS');
  if (session.authAllowed && session.account === null) offered.push('AUTH SCRAM-SHA-256 PLAIN LOGIN');
  return offered;
}

export const helo: Step = {
  verb: 'HELO',
  kinds: ['smtp', 'submission'],
  rfc: 'RFC 5321 §4.1.1.1',
  run: (session, argument) => greet(session, argument, false),
};

export const ehlo: Step = {
  verb: 'EHLO',
  kinds: ['smtp', 'submission'],
  rfc: 'RFC 5321 §4.1.1.1',
  run: (session, argument) => greet(session, argument, true),
};

export const lhlo: Step = {
  verb: 'LHLO',
  kinds: ['lmtp'],
  rfc: 'RFC 2033 §4.1',
  run: (session, argument) => greet(session, argument, true),
};
