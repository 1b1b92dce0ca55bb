/**
 * Hints over the broker. One wrapper sends them, because an event that is too large or meets a lost connection makes
 * `broadcast` reject, and an unawaited rejection would end the process: a hint may always be lost.
 */

import type { ServiceBroker } from 'moleculer';
import type { MailboxHint } from '../core/mail/hints.ts';
import { contextOf } from './context.ts';

/** More mailboxes than that are told of as "any": receivers compare modSeq. */
const MAILBOXES_MAX = 1_000;

export const MAILBOX_CHANGED = 'mailbox.changed';

export function emitHint(broker: ServiceBroker, hint: MailboxHint): void {
  const bounded = hint.mailboxes.length > MAILBOXES_MAX ? { ...hint, mailboxes: [], listChanged: true } : hint;
  broker.broadcast(MAILBOX_CHANGED, bounded).catch((error: Error) => {
    contextOf(broker).log.warn({ account: hint.account, detail: error.message }, 'hint.lost');
  });
}
