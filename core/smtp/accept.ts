/**
 * The end of a message, by DATA or BDAT LAST: the last checks, then custody, then the reply. 250 is said only when the
 * bytes and the custody record survive power loss; LMTP says it once for each accepted RCPT (RFC 2033 §4.2).
 */

import type { AcceptedMessage } from '../mail/accepted.ts';
import { normalizeAddress, parseAddress } from '../mail/address.ts';
import type { QueueId } from '../mail/ids.ts';
import { REPLIES, type ReplyKey, smtpReply } from '../mail/reply.ts';
import type { BlobInfo } from '../ports/blob-store.ts';
import { fromAddresses, type HeaderFacts, headerFacts } from './header-facts.ts';
import type { Incoming } from './incoming.ts';
import type { SmtpSession, Transaction } from './session.ts';
import { dateField, messageIdField, receivedField } from './trace-fields.ts';
import { asTrouble, stackOf } from './trouble.ts';

/** One reply, or in LMTP one for each accepted recipient. */
function answerMessage(session: SmtpSession, transaction: Transaction, key: ReplyKey, text?: string): void {
  const shown = text ?? REPLIES[key].text;
  if (session.kind !== 'lmtp') session.refuse(key, shown);
  else for (const recipient of transaction.accepted) session.refuse(key, `<${recipient}> ${shown}`);
}

/** Ends the transaction: takes custody of the message or refuses it, and answers. */
export async function finishMessage(session: SmtpSession, transaction: Transaction): Promise<void> {
  const incoming = transaction.incoming!;
  session.receiver = null;
  session.transaction = null;
  try {
    const facts = headerFacts(incoming.header, session.env.config);
    const refusal = incoming.failure ?? (await refusalOf(session, transaction, incoming, facts));
    if (refusal === null) await accept(session, transaction, incoming, facts);
    else refuse(session, transaction, incoming, refusal, facts.messageId);
  } catch (thrown) {
    const error = asTrouble(thrown);
    const id = session.wire.session;
    session.env.log('message not accepted', { session: id, reply: error.reply, stack: stackOf(error) });
    refuse(session, transaction, incoming, error.reply, '');
    if (error.reply === 'fault') session.closing = true;
  }
}

async function refusalOf(
  session: SmtpSession,
  transaction: Transaction,
  incoming: Incoming,
  facts: HeaderFacts,
): Promise<ReplyKey | null> {
  const { env, account } = session;
  if (facts.tooMany) return 'headerTooBig';
  if (facts.received > env.config.receivedMax || isCircle(transaction, facts)) return 'loop';
  if (account === null) return null;
  // RFC 6409 §6.1: a submitter speaks for addresses of its own, in every From field there is.
  const from = fromAddresses(incoming.header, facts.from);
  if (from === null) return 'fromNotOwned';
  for (const address of from) if (!(await env.ownsAddress(account, address))) return 'fromNotOwned';
  return null;
}

/** It was delivered to one of these recipients before. */
function isCircle(transaction: Transaction, facts: HeaderFacts): boolean {
  if (facts.deliveredTo.size === 0) return false;
  return transaction.accepted.some((recipient) => {
    const address = parseAddress(recipient, { smtputf8: true });
    return address !== null && facts.deliveredTo.has(normalizeAddress(address));
  });
}

async function accept(
  session: SmtpSession,
  transaction: Transaction,
  incoming: Incoming,
  facts: HeaderFacts,
): Promise<void> {
  const { env } = session;
  const queueId = env.newQueueId();
  const acceptedAt = env.now();
  const blob = await incoming.commit();
  const message = acceptedMessage(session, transaction, facts, { queueId, acceptedAt, blob });
  await env.custody(message);
  session.commands = 0;
  session.refusedRecipients = 0;
  env.log('accepted', {
    session: session.wire.session,
    queueId,
    sender: transaction.sender,
    recipients: transaction.accepted.length,
    sizeBytes: blob.size,
    messageId: message.messageId,
  });
  answerMessage(session, transaction, 'queued', `${REPLIES.queued.text} ${queueId}`);
}

function acceptedMessage(
  session: SmtpSession,
  transaction: Transaction,
  facts: HeaderFacts,
  { queueId, acceptedAt, blob }: { queueId: QueueId; acceptedAt: number; blob: BlobInfo },
): AcceptedMessage {
  const { hostname } = session.env.config;
  const { client, accepted } = transaction;
  const only = new Set(accepted).size === 1 ? accepted[0]! : null;
  // RFC 5321 §4.4: `for` holds a mailbox, and a mailbox has a domain.
  const recipient = only === null || only.includes('@') ? only : `${only}@${hostname}`;
  let headers = receivedField({ client, hostname, queueId, recipient, at: acceptedAt });
  let { messageId } = facts;
  if (session.account !== null) {
    if (!facts.hasDate) headers += dateField(acceptedAt);
    if (!facts.hasMessageId) {
      messageId = `<${queueId}@${hostname}>`;
      headers += messageIdField(messageId);
    }
  }
  return {
    queueId,
    acceptedAt,
    envelope: {
      sender: transaction.sender,
      recipients: [...transaction.recipients.values()],
      smtputf8: transaction.smtputf8,
      body: transaction.body,
    },
    client,
    blob: blob.ref,
    size: blob.size,
    headers,
    removed: facts.removed,
    messageId,
    subject: facts.subject,
  };
}

function refuse(
  session: SmtpSession,
  transaction: Transaction,
  incoming: Incoming,
  key: ReplyKey,
  messageId: string,
): void {
  const { env } = session;
  incoming.discard();
  const queueId = env.newQueueId();
  env.log('message refused', { session: session.wire.session, queueId, sender: transaction.sender, reply: key });
  env.refused({
    queueId,
    refusedAt: env.now(),
    phase: 'DATA',
    sender: transaction.sender,
    recipients: transaction.accepted,
    client: transaction.client,
    reply: smtpReply(key),
    messageId,
    size: incoming.size,
  });
  answerMessage(session, transaction, key);
}
