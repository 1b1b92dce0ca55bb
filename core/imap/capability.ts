/** The capabilities offered, by connection state (RFC 9051 §7.2.2). An extension stands here only when it is complete. */

import type { ImapSession } from './session.ts';

const EXTENSIONS =
  'ID ENABLE NAMESPACE IDLE UNSELECT UIDPLUS MOVE SPECIAL-USE CHILDREN LIST-EXTENDED LIST-STATUS STATUS=SIZE ' +
  'ESEARCH CONDSTORE QRESYNC QUOTA QUOTA=RES-STORAGE QUOTA=RES-MESSAGE';

/** Mechanisms, as saslServer knows them; the LOGIN mechanism works but is not advertised, being obsolete. */
const MECHANISMS = 'AUTH=PLAIN AUTH=SCRAM-SHA-256';

/** Passwords may be sent: over TLS, or where the operator has allowed it without. */
export const mayAuthenticate = (session: ImapSession): boolean =>
  session.wire.tls !== null || session.env.config.insecureAuth;

export function capabilities(session: ImapSession): string {
  const limit = `APPENDLIMIT=${session.env.config.appendSizeBytesMax}`;
  if (session.state !== 'not-authenticated') return `IMAP4rev1 LITERAL+ ${EXTENSIONS} ${limit}`;
  // RFC 7888 §5: before login literals are held to 4,096 bytes, which is LITERAL-.
  const parts = ['IMAP4rev1 LITERAL- SASL-IR'];
  if (session.wire.canStartTls) parts.push('STARTTLS');
  // RFC 9051 §6.2.3
  parts.push(mayAuthenticate(session) ? MECHANISMS : 'LOGINDISABLED');
  return `${parts.join(' ')} ${EXTENSIONS} ${limit}`;
}
