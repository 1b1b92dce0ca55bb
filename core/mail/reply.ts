/**
 * The one table of replies. SMTP shows `code`, the enhanced code and `text`; IMAP and POP3 show `imap`/`pop3` codes with
 * the same text. The enhanced code's class digit is computed from the basic code (RFC 3463 §2, RFC 2034 §4), never
 * written twice. Texts are generic: facts go to the log.
 */

export interface Reply {
  /** SMTP reply code, RFC 5321 §4.2. */
  readonly code: number;
  /** Subject and detail of the enhanced status code, RFC 3463; null where RFC 2034 §4 wants none (greeting, HELO, 3yz). */
  readonly detail: string | null;
  readonly text: string;
  /** IMAP response code, RFC 5530 or RFC 9051 §7.1. */
  readonly imap?: string;
  /** POP3 response code, RFC 2449 §8, RFC 3206. */
  readonly pop3?: string;
}

const r = (code: number, detail: string | null, text: string, more: Pick<Reply, 'imap' | 'pop3'> = {}): Reply => ({
  code,
  detail,
  text,
  ...more,
});

export const REPLIES = {
  // success
  ok: r(250, '0.0', 'OK'),
  senderOk: r(250, '1.0', 'Originator accepted'),
  recipientOk: r(250, '1.5', 'Recipient accepted'),
  queued: r(250, '0.0', 'Accepted'),
  startMail: r(354, null, 'Start mail input; end with <CRLF>.<CRLF>'),
  greeting: r(220, null, 'ESMTP Mailmesh'),
  help: r(214, '0.0', 'See RFC 5321'),
  startTls: r(220, '0.0', 'Ready to start TLS'),
  closing: r(221, '0.0', 'Closing connection'),
  cannotVerify: r(252, '0.0', 'Cannot VRFY user, but will accept the message and attempt delivery'),
  authenticated: r(235, '7.0', 'Authentication succeeded'),
  // syntax and order
  commandUnknown: r(500, '5.2', 'Command not recognized'),
  lineTooLong: r(500, '5.2', 'Line too long'),
  syntaxError: r(501, '5.4', 'Syntax error in parameters or arguments'),
  parameterUnknown: r(555, '5.4', 'MAIL FROM/RCPT TO parameters not recognized or not implemented'),
  notImplemented: r(502, '5.1', 'Command not implemented'),
  badSequence: r(503, '5.1', 'Bad sequence of commands'),
  parameterNotImplemented: r(504, '5.4', 'Command parameter not implemented'),
  greetFirst: r(503, '5.1', 'Send HELO/EHLO first'),
  noValidRecipients: r(554, '5.1', 'No valid recipients'),
  authenticationLineTooLong: r(500, '5.6', 'Authentication exchange line is too long'),
  tlsUnavailable: r(454, '7.0', 'TLS not available due to temporary reason'),
  tooManyErrors: r(421, '7.0', 'Too many errors, closing connection'),
  tooManyCommands: r(421, '7.0', 'Too many commands, closing connection'),
  timeout: r(421, '4.2', 'Timeout, closing connection'),
  shuttingDown: r(421, '3.2', 'Service shutting down, try again later', { imap: 'UNAVAILABLE', pop3: 'SYS/TEMP' }),
  tooManyConnections: r(421, '7.0', 'Too many connections, try again later', { imap: 'UNAVAILABLE', pop3: 'SYS/TEMP' }),
  bareLineEnd: r(554, '5.0', 'Message contains a bare CR or LF, which is not allowed (RFC 5321 2.3.8)'),
  // addresses and policy
  mailboxUnknown: r(550, '1.1', 'No such mailbox here', { imap: 'NONEXISTENT' }),
  domainForeign: r(550, '7.1', 'Relaying denied: this server does not accept mail for that domain'),
  noOutbound: r(550, '7.1', 'This server does not send mail to other domains yet'),
  // RFC 5321 §4.1.2: characters that the syntax does not have are answered 501.
  addressSyntax: r(501, '1.3', 'Address syntax is not valid'),
  senderSyntax: r(501, '1.7', "Sender's address syntax is not valid"),
  senderNotOwned: r(553, '7.1', 'Sender address does not belong to the authenticated account'),
  fromNotOwned: r(550, '7.1', 'From header does not belong to the authenticated account'),
  // RFC 6531 §3.5: 553 at RCPT, 550 at MAIL.
  smtputf8Needed: r(553, '6.7', 'Address needs SMTPUTF8'),
  senderNeedsSmtputf8: r(550, '6.7', "Sender's address needs SMTPUTF8"),
  overQuota: r(452, '2.2', 'Mailbox full', { imap: 'OVERQUOTA' }),
  tooManyRefused: r(421, '7.0', 'Too many refused recipients, closing connection'),
  tooManyRecipients: r(452, '5.3', 'Too many recipients'),
  headerTooBig: r(552, '3.4', 'Header section exceeds the size limit'),
  messageTooBig: r(552, '3.4', 'Message exceeds the size limit', { imap: 'TOOBIG' }),
  loop: r(554, '4.6', 'Mail loop detected'),
  accountDisabled: r(550, '2.1', 'Mailbox disabled', { imap: 'CONTACTADMIN', pop3: 'AUTH' }),
  // authentication
  authenticationFailed: r(535, '7.8', 'Authentication credentials invalid', {
    imap: 'AUTHENTICATIONFAILED',
    pop3: 'AUTH',
  }),
  authenticationDelayed: r(454, '7.0', 'Too many failed attempts, try again later', {
    imap: 'UNAVAILABLE',
    pop3: 'SYS/TEMP',
  }),
  authenticationRequired: r(530, '7.0', 'Authentication required', { imap: 'AUTHENTICATIONFAILED' }),
  authenticationCancelled: r(501, '7.0', 'Authentication cancelled'),
  authenticationMalformed: r(501, '5.2', 'Cannot decode the response', { imap: 'CLIENTBUG' }),
  mechanismUnknown: r(504, '5.4', 'Authentication mechanism not supported', { imap: 'CANNOT' }),
  encryptionRequired: r(538, '7.11', 'Encryption required for the requested mechanism', {
    imap: 'PRIVACYREQUIRED',
    pop3: 'AUTH',
  }),
  authorizationDenied: r(535, '7.8', 'Not authorized to act as that identity', {
    imap: 'AUTHORIZATIONFAILED',
    pop3: 'AUTH',
  }),
  // trouble on our side
  diskFull: r(452, '3.1', 'Insufficient system storage', { imap: 'UNAVAILABLE', pop3: 'SYS/TEMP' }),
  queueFull: r(452, '3.1', 'Too many messages are waiting, try again later', {
    imap: 'UNAVAILABLE',
    pop3: 'SYS/TEMP',
  }),
  storeUnavailable: r(451, '3.0', 'Mail system temporarily unavailable', { imap: 'UNAVAILABLE', pop3: 'SYS/TEMP' }),
  fault: r(451, '3.0', 'Internal error', { imap: 'SERVERBUG', pop3: 'SYS/TEMP' }),
  // mailboxes (IMAP, REST)
  mailboxExists: r(550, '2.0', 'Mailbox already exists', { imap: 'ALREADYEXISTS' }),
  tryCreate: r(550, '1.1', 'No such mailbox; it can be created', { imap: 'TRYCREATE' }),
  mailboxName: r(550, '1.3', 'Mailbox name is not allowed', { imap: 'CANNOT' }),
  mailboxInUse: r(450, '2.1', 'Mailbox is in use by another session', { imap: 'INUSE', pop3: 'IN-USE' }),
  limitReached: r(452, '2.0', 'Limit reached', { imap: 'LIMIT' }),
  conflict: r(450, '2.0', 'Changed by someone else meanwhile', { imap: 'INUSE' }),
  invalid: r(501, '5.4', 'Value is not valid', { imap: 'CLIENTBUG' }),
  notFound: r(550, '1.1', 'Not found', { imap: 'NONEXISTENT' }),
  // RFC 5530 §3, RFC 2180 §4.
  expungeIssued: r(550, '2.0', 'Some of the messages no longer exist', { imap: 'EXPUNGEISSUED' }),
  readOnly: r(550, '7.1', 'Mailbox is selected read-only'),
  // RFC 3501 §7.1.
  badCharset: r(504, '6.0', 'Charset is not supported', { imap: 'BADCHARSET (US-ASCII UTF-8)' }),
  // maildrops (POP3)
  messageUnknown: r(550, '1.1', 'No such message'),
  messageDeleted: r(550, '1.1', 'Message is marked as deleted'),
  messageGone: r(550, '1.1', 'Message was removed by another session'),
  // RFC 6856 §5.
  utf8Needed: r(553, '6.7', 'Message needs UTF8', { pop3: 'UTF8' }),
  deletionsFailed: r(451, '3.0', 'Deleted messages were not removed', { pop3: 'SYS/TEMP' }),
  forbidden: r(550, '7.1', 'Not allowed', { imap: 'NOPERM' }),
} as const satisfies Record<string, Reply>;

export type ReplyKey = keyof typeof REPLIES;

/** The enhanced status code, for example `5.1.1`; empty where the reply has none. */
const enhancedCode = (reply: Reply): string =>
  reply.detail === null ? '' : `${Math.floor(reply.code / 100)}.${reply.detail}`;

/** One SMTP reply without its line end, for example `550 5.1.1 No such mailbox here`. */
export function smtpReply(key: ReplyKey, text?: string): string {
  const reply: Reply = REPLIES[key];
  const enhanced = enhancedCode(reply);
  return `${reply.code} ${enhanced}${enhanced === '' ? '' : ' '}${text ?? reply.text}`;
}
