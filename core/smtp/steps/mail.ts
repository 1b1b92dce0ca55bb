/**
 * MAIL (RFC 5321 §4.1.1.2) begins a transaction: reverse-path, SIZE (RFC 1870), BODY (RFC 6152), SMTPUTF8 (RFC 6531)
 * and AUTH (RFC 4954 §5). Nothing else is a parameter here, and what is not known is refused, not ignored.
 */

import { formatAddress, parseAddress } from '../../mail/address.ts';
import type { Address, Envelope } from '../../mail/envelope.ts';
import { type ReplyKey, smtpReply } from '../../mail/reply.ts';
import { decodeXtext, parsePathArgument } from '../command.ts';
import type { SmtpSession } from '../session.ts';
import type { Step } from '../step.ts';
import { EVERYWHERE } from '../step.ts';

/** Real senders put long tokens into local parts; a path's own limit holds. RFC 5321 §4.5.3.1 asks for that. */
const SENDER_LOCAL_PART_OCTETS_MAX = 256;

interface Parameters {
  readonly sizeBytes: number;
  readonly body: Envelope['body'];
  readonly smtputf8: boolean;
}

/** The parameters, or the reply that refuses them. */
function readParameters(session: SmtpSession, given: ReadonlyMap<string, string | null>): Parameters | ReplyKey {
  let sizeBytes = 0;
  let body: Envelope['body'] = null;
  let smtputf8 = false;
  for (const [keyword, value] of given) {
    if (keyword === 'SIZE') {
      // RFC 1870 §4: 1*20DIGIT
      if (value === null || !/^[0-9]{1,20}$/.test(value)) return 'syntaxError';
      sizeBytes = Number(value);
    } else if (keyword === 'BODY') {
      const upper = value?.toUpperCase();
      // BINARYMIME is not offered (RFC 3030 §3).
      if (upper === 'BINARYMIME') return 'parameterUnknown';
      if (upper !== '7BIT' && upper !== '8BITMIME') return 'syntaxError';
      body = upper;
    } else if (keyword === 'SMTPUTF8') {
      if (value !== null) return 'syntaxError';
      smtputf8 = true;
    } else if (keyword === 'AUTH' && session.kind === 'submission') {
      // RFC 4954 §5: read and put aside, as for a client that is not trusted to speak for others.
      const mailbox = value === null ? null : decodeXtext(value);
      if (mailbox === null) return 'syntaxError';
      if (mailbox !== '<>' && parseAddress(mailbox, { smtputf8: true }) === null) return 'syntaxError';
    } else return 'parameterUnknown';
  }
  return { sizeBytes, body, smtputf8 };
}

function readSender(path: string, smtputf8: boolean): Address | 'null' | ReplyKey {
  if (path === '') return 'null';
  const options = { smtputf8, localPartOctetsMax: SENDER_LOCAL_PART_OCTETS_MAX };
  const address = parseAddress(path, options);
  // Only RCPT knows a postmaster without a domain (RFC 5321 §4.1.1.3).
  if (address !== null && address.domain !== '') return address;
  if (address !== null || parseAddress(path, { ...options, smtputf8: true }) === null) return 'senderSyntax';
  return 'senderNeedsSmtputf8';
}

function run(session: SmtpSession, argument: string): void | Promise<void> {
  const { env, account } = session;
  if (session.helo === null) return session.reply('greetFirst');
  if (session.transaction !== null) return session.reply('badSequence');
  const command = parsePathArgument(argument, 'FROM:');
  if (command === null) return session.reply('syntaxError');
  const parameters = readParameters(session, command.parameters);
  if (typeof parameters === 'string') return session.reply(parameters);
  const address = readSender(command.path, parameters.smtputf8);
  if (typeof address === 'string' && address !== 'null') return session.reply(address);
  const sender = address === 'null' ? '' : formatAddress(address);
  if (parameters.sizeBytes > env.config.sizeBytesMax) return refuse(session, sender, parameters, 'messageTooBig');
  // RFC 6409 §6.1. The null reverse-path is anybody's: receipts of a mail client need it (RFC 8098 §2.1).
  if (account === null || address === 'null') return begin(session, sender, parameters);
  return env.ownsAddress(account, address).then((owned) => {
    if (owned) begin(session, sender, parameters);
    else refuse(session, sender, parameters, 'senderNotOwned');
  });
}

function begin(session: SmtpSession, sender: string, parameters: Parameters): void {
  session.transaction = {
    client: session.client(parameters.smtputf8),
    sender,
    ...parameters,
    accepted: [],
    recipients: new Map(),
    rcptSeen: false,
    incoming: null,
    chunks: null,
  };
  session.reply('senderOk');
}

function refuse(session: SmtpSession, sender: string, { sizeBytes }: Parameters, key: ReplyKey): void {
  session.env.refused({
    queueId: session.env.newQueueId(),
    refusedAt: session.env.now(),
    phase: 'MAIL',
    sender,
    recipients: [],
    client: session.client(false),
    reply: smtpReply(key),
    messageId: '',
    size: sizeBytes,
  });
  session.reply(key);
}

export const mail: Step = {
  verb: 'MAIL',
  kinds: EVERYWHERE,
  rfc: 'RFC 5321 §4.1.1.2',
  // 512, and what RFC 1870 (26), RFC 6152 (17), RFC 6531 (10) and RFC 4954 (500) add.
  octetsMax: 512 + 26 + 17 + 10 + 500,
  needsAuth: true,
  corked: true,
  run,
};
