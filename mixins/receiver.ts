/**
 * What the SMTP, LMTP and submission engines ask of this node: who gets mail, and custody of it. Look-ups go to the
 * directory, custody to the queue; nothing is decided here that core/smtp decides.
 */

import { randomBytes } from 'node:crypto';
import type { Logger } from 'pino';
import { deliveryPlan } from '../core/filter/stages.ts';
import { formatAddress, normalizeAddress, normalizeDomain, splitSubaddress } from '../core/mail/address.ts';
import type { Address, Recipient } from '../core/mail/envelope.ts';
import { type AccountId, queueId } from '../core/mail/ids.ts';
import type { RecipientDecision, SmtpConfig, SmtpEnvironment, SmtpKind } from '../core/smtp/environment.ts';
import type { NodeContext } from './context.ts';
import { roomOf } from './queue-room.ts';

const smtpConfig = ({ config }: NodeContext): SmtpConfig => ({
  hostname: config.hostname,
  sizeBytesMax: config.sizeBytesMax,
  recipientsMax: config.recipientsMax,
  commandsMax: config.commandsMax,
  errorsMax: config.errorsMax,
  headerBytesMax: config.headerBytesMax,
  headerFieldsMax: config.headerFieldsMax,
  receivedMax: config.receivedMax,

  insecureAuth: config.insecureAuth,
  greetingTimeoutMs: config.smtpGreetingTimeoutMs,
  commandTimeoutMs: config.smtpCommandTimeoutMs,
  dataTimeoutMs: config.smtpDataTimeoutMs,
  dataTotalTimeoutMs: config.smtpDataTotalTimeoutMs,
});

export function receiver(context: NodeContext, kind: SmtpKind): SmtpEnvironment {
  const { stores, metrics, config, now, authenticator } = context;
  const log: Logger = context.log;
  const room = roomOf(stores.queue, config.queueMessagesMax);
  return {
    config: smtpConfig(context),
    blobs: stores.blobs,
    authenticator,
    now,
    random: (length) => randomBytes(length),
    newQueueId: () => queueId(now(), randomBytes(7)),
    async resolveRecipient(address, client, sizeBytes) {
      if (await room.isFull(now())) return { ok: false, reply: 'queueFull' };
      return resolveRecipient(context, address, client.account !== null, sizeBytes);
    },
    async custody(message) {
      await stores.queue.accept(message, deliveryPlan());
      metrics.accepted.inc({ protocol: kind });
      context.intake.accepted(now());
      room.accepted();
    },
    refused(message) {
      metrics.refused.inc({ protocol: kind, reply: message.reply.slice(0, 3) });
      log.info(
        {
          queueId: message.queueId,
          session: message.client.session,
          from: message.sender,
          phase: message.phase,
          reply: message.reply,
          remote: message.client.address,
        },
        'message.refused',
      );
      stores.queue
        .refuse(message)
        .catch((error: Error) => log.warn({ queueId: message.queueId, detail: error.message }, 'trace.lost'));
    },
    async ownsAddress(account, address) {
      const { user } = splitSubaddress(address.localPart, config.subaddressSeparator ?? '+');
      const names = [normalizeAddress(address), normalizeAddress({ ...address, localPart: user })];
      for (const name of new Set(names)) if ((await stores.directory.resolve(name)).includes(account)) return true;
      return false;
    },
    log: (event, facts) => log.info(facts, event),
  };
}

/** RFC 5321 §3.3, §4.5.1: who gets mail for an address, or the reply that says why nobody does. */
async function resolveRecipient(
  context: NodeContext,
  address: Address,
  authenticated: boolean,
  sizeBytes: number,
): Promise<RecipientDecision> {
  const { stores, config } = context;
  const domain = address.domain === '' ? config.domain : normalizeDomain(address.domain);
  const known = await stores.directory.domain(domain);
  if (known === undefined) return { ok: false, reply: authenticated ? 'noOutbound' : 'domainForeign' };
  const { accounts, subaddress } = await accountsOf(context, { ...address, domain }, known.catchAll);
  if (accounts.length === 0) return { ok: false, reply: 'mailboxUnknown' };
  const recipients: Recipient[] = [];
  let reply: 'accountDisabled' | 'overQuota' = 'accountDisabled';
  for (const account of accounts) {
    const entry = await stores.directory.account(account);
    if (entry === undefined || !entry.enabled) continue;
    const state = await stores.mail.account(account);
    const full =
      state !== undefined &&
      ((state.quotaBytes !== null && state.usedBytes + Math.max(1, sizeBytes) > state.quotaBytes) ||
        (state.quotaMessages !== null && state.usedMessages >= state.quotaMessages));
    if (full) reply = 'overQuota';
    else recipients.push({ address: formatAddress({ ...address, domain }), account, subaddress });
  }
  return recipients.length > 0 ? { ok: true, recipients } : { ok: false, reply };
}

async function accountsOf(
  { stores, config }: NodeContext,
  address: Address,
  catchAll: AccountId | null,
): Promise<{ accounts: readonly AccountId[]; subaddress: string }> {
  const exact = await stores.directory.resolve(normalizeAddress(address));
  if (exact.length > 0) return { accounts: exact, subaddress: '' };
  if (config.subaddressSeparator !== null) {
    const { user, subaddress } = splitSubaddress(address.localPart, config.subaddressSeparator);
    if (subaddress !== '') {
      const accounts = await stores.directory.resolve(normalizeAddress({ ...address, localPart: user }));
      if (accounts.length > 0) return { accounts, subaddress };
    }
  }
  return { accounts: config.catchAll && catchAll !== null ? [catchAll] : [], subaddress: '' };
}
