/**
 * RCPT (RFC 5321 §4.1.1.3): one recipient, asked of the directory. Only the mailbox at the end of a source route counts,
 * and its domain is whatever stands behind its last unquoted `@`, so no syntax makes this server a relay.
 */

import { formatAddress, parseAddress } from '../../mail/address.ts';
import { type ReplyKey, smtpReply } from '../../mail/reply.ts';
import { parsePathArgument } from '../command.ts';
import type { SmtpSession, Transaction } from '../session.ts';
import type { Step } from '../step.ts';
import { EVERYWHERE } from '../step.ts';

async function run(session: SmtpSession, argument: string): Promise<void> {
  const { env, transaction } = session;
  if (transaction === null || transaction.incoming !== null) return session.reply('badSequence');
  const command = parsePathArgument(argument, 'TO:');
  if (command === null) return session.reply('syntaxError');
  transaction.rcptSeen = true;
  // No extension with RCPT parameters is offered.
  if (command.parameters.size > 0) return session.reply('parameterUnknown');
  const { smtputf8 } = transaction;
  const address = parseAddress(command.path, { smtputf8 });
  if (address === null) {
    const readable = !smtputf8 && parseAddress(command.path, { smtputf8: true }) !== null;
    return session.reply(readable ? 'smtputf8Needed' : 'addressSyntax');
  }
  const shown = formatAddress(address);
  // RFC 5321 §4.5.3.1.10: 452, so that the client sends the rest in another transaction.
  if (transaction.accepted.length >= env.config.recipientsMax)
    return refuse(session, transaction, shown, 'tooManyRecipients');
  const decision = await env.resolveRecipient(address, transaction.client, transaction.sizeBytes);
  if (!decision.ok) {
    // To a submitter it is not relaying that is denied: sending to other servers is not there yet.
    const outbound = session.kind === 'submission' && decision.reply === 'domainForeign';
    return refuse(session, transaction, shown, outbound ? 'noOutbound' : decision.reply);
  }
  transaction.accepted.push(shown);
  for (const recipient of decision.recipients) {
    const key = `${recipient.account} ${recipient.subaddress}`;
    if (!transaction.recipients.has(key)) transaction.recipients.set(key, recipient);
  }
  session.commands--;
  session.reply('recipientOk');
}

function refuse(session: SmtpSession, transaction: Transaction, recipient: string, key: ReplyKey): void {
  const { env } = session;
  const queueId = env.newQueueId();
  env.log('recipient refused', { session: session.wire.session, queueId, recipient, reply: key });
  env.refused({
    queueId,
    refusedAt: env.now(),
    phase: 'RCPT',
    sender: transaction.sender,
    recipients: [recipient],
    client: transaction.client,
    reply: smtpReply(key),
    messageId: '',
    size: transaction.sizeBytes,
  });
  session.refuse(key);
  // A front server's list may hold many that are gone; a stranger who misses so often is guessing.
  if (session.kind !== 'lmtp' && ++session.refusedRecipients > env.config.recipientsMax)
    session.close('tooManyRefused');
}

export const rcpt: Step = {
  verb: 'RCPT',
  kinds: EVERYWHERE,
  rfc: 'RFC 5321 §4.1.1.3',
  // 512, and RFC 6531's 10 for addresses in UTF-8 are MAIL's alone; a path is 256 octets at most.
  needsAuth: true,
  corked: true,
  run,
};
