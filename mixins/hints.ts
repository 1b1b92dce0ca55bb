/**
 * Hints. In a mesh those about mailboxes go to whoever watches the account and to nobody else (mixins/hint-bus.ts), so
 * that their cost does not grow with the number of nodes; rare ones are events of the broker. One wrapper sends them,
 * because an event that meets a lost connection makes `broadcast` reject, and an unawaited rejection would end the
 * process: a hint may always be lost.
 */

import type { ServiceBroker } from 'moleculer';
import type { MailboxHint } from '../core/mail/hints.ts';
import { contextOf } from './context.ts';

/** More mailboxes than that are told of as "any": receivers compare modSeq. */
const MAILBOXES_MAX = 1_000;

export const MAILBOX_CHANGED = 'mailbox.changed';

/** Another model is the active one. */
export const MODEL_ACTIVATED = 'model.activated';
/** There are label events in the outbox. */
export const FEEDBACK_PENDING = 'feedback.pending';

function send(broker: ServiceBroker, name: string, hint: unknown): void {
  broker.broadcast(name, hint).catch((error: Error) => {
    contextOf(broker).log.warn({ hint: name, detail: error.message }, 'hint.lost');
  });
}

export function emitHint(broker: ServiceBroker, hint: MailboxHint): void {
  const sent = hint.mailboxes.length > MAILBOXES_MAX ? { ...hint, mailboxes: [], listChanged: true } : hint;
  const { hintBus } = contextOf(broker);
  if (hintBus === null) send(broker, MAILBOX_CHANGED, sent);
  else hintBus.publish(sent);
}

export const emitModelActivated = (broker: ServiceBroker): void => send(broker, MODEL_ACTIVATED, {});
export const emitFeedbackPending = (broker: ServiceBroker): void => send(broker, FEEDBACK_PENDING, {});
