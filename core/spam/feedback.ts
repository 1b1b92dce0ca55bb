/**
 * What a user's operation on mailboxes says about spam. `labelIntents` looks at one committed operation and is pure and
 * cheap: it gives nothing at once unless Junk or one of the two keywords is concerned. `resolveLabel` later makes a label
 * of an intent, knowing what the user had said before, so that an operation which undoes another withdraws its label.
 */

import { applyFlags, type FlagSet, hasFlag, JUNK, NOT_JUNK, type StoreMode } from '../mail/flags.ts';
import type { AccountId, ContentId, ModSeq } from '../mail/ids.ts';
import type { Role } from '../ports/mail-store.ts';
import type { Label, LabelSource, StoredLabel } from '../ports/sample-store.ts';

/** A message as it was before the operation. */
interface AffectedMessage {
  readonly content: ContentId;
  /** Needed for `store` only. */
  readonly flags: FlagSet;
}

export type UserOperation =
  /** COPY counts like MOVE: clients without MOVE copy to (or from) Junk, then set \Deleted and expunge. */
  | {
      readonly t: 'move' | 'copy';
      readonly from: Role | null;
      readonly to: Role | null;
      readonly messages: readonly AffectedMessage[];
    }
  | {
      readonly t: 'store';
      readonly mode: StoreMode;
      readonly flags: FlagSet;
      readonly messages: readonly AffectedMessage[];
    }
  /** By the API, whatever mailbox the message is in. */
  | {
      readonly t: 'label';
      readonly label: 'spam' | 'ham' | 'withdrawn';
      readonly messages: readonly AffectedMessage[];
    };

export interface CommitContext {
  /** `filter`: placement, Sieve, imports, our own housekeeping; never a label. */
  readonly by: 'user' | 'filter';
  /** The modSeq that the commit will have: with the content it names the event, so that a replay changes nothing. */
  readonly modSeq: ModSeq;
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly operations: readonly UserOperation[];
}

/**
 * spam, ham: the user says so. notSpam, notHam: the user took the mark off, which withdraws that label and is nothing
 * where there was none. withdrawn: takes back whatever was said.
 */
type Wish = 'spam' | 'ham' | 'notSpam' | 'notHam' | 'withdrawn';

/** Payload of an outbox entry of the topic `feedback`; `key` is the entry's key. */
export interface LabelIntent {
  readonly key: string;
  readonly content: ContentId;
  readonly wish: Wish;
  readonly source: LabelSource;
  readonly at: number;
}

/** Label events that follow from a commit; hand them to the same commit as `outbox` operations. */
export function labelIntents(context: CommitContext): readonly LabelIntent[] {
  if (context.by === 'filter') return NOTHING;
  let intents: LabelIntent[] | undefined;
  for (const operation of context.operations) {
    const wish = wishOf(operation);
    if (wish === null) continue;
    for (const message of operation.messages) {
      const wished = typeof wish === 'function' ? wish(message.flags) : wish;
      if (wished === null) continue;
      intents ??= [];
      intents.push({
        key: `${message.content}:${context.modSeq}:${intents.length}`,
        content: message.content,
        wish: wished,
        source: operation.t === 'label' ? 'api' : operation.t === 'store' ? 'keyword' : 'move',
        at: context.at,
      });
    }
  }
  return intents ?? NOTHING;
}

const NOTHING: readonly LabelIntent[] = Object.freeze([]);

/** The same wish for all messages of an operation, or one that depends on the flags a message had; null for none. */
function wishOf(operation: UserOperation): Wish | ((flags: FlagSet) => Wish | null) | null {
  switch (operation.t) {
    case 'move':
    case 'copy':
      if (operation.to === operation.from) return null;
      if (operation.to === 'junk') return 'spam';
      return operation.from === 'junk' && operation.to !== 'trash' ? 'ham' : null;
    case 'store': {
      const named = hasFlag(operation.flags, JUNK) || hasFlag(operation.flags, NOT_JUNK);
      // Replacing flags can take a keyword off without naming it.
      if (!named && operation.mode !== 'replace') return null;
      return (before) => keywordWish(before, applyFlags(before, operation.mode, operation.flags));
    }
    case 'label':
      return operation.label;
  }
}

function keywordWish(before: FlagSet, after: FlagSet): Wish | null {
  if (before === after) return null;
  const junk = hasFlag(after, JUNK);
  const notJunk = hasFlag(after, NOT_JUNK);
  const hadJunk = hasFlag(before, JUNK);
  const hadNotJunk = hasFlag(before, NOT_JUNK);
  // Both at once contradict each other (RFC 9051 §2.3.2 wants them apart): only the one that is new counts.
  if (junk && !hadJunk && !(notJunk && !hadNotJunk)) return 'spam';
  if (notJunk && !hadNotJunk && !(junk && !hadJunk)) return 'ham';
  if (hadJunk && !junk) return 'notSpam';
  if (hadNotJunk && !notJunk) return 'notHam';
  return null;
}

/** What the feedback service found out about an intent's message. */
export interface LabelFacts {
  readonly account: AccountId;
  /** Key of the message's features. */
  readonly sample: string;
  /** The newest label of this account and sample, withdrawn ones included. */
  readonly newest: StoredLabel | undefined;
  readonly sender: string;
  /** The verdict at filter time; `none` for mail that came in another way. */
  readonly previous: Label['previous'];
  readonly score: number | null;
  readonly model: string;
  readonly schema: number;
}

/** A rescue out of Junk corrects the worse kind of error. */
const RESCUE_WEIGHT = 2;

/** The label event that an intent amounts to, or null when it changes nothing. */
export function resolveLabel(intent: LabelIntent, facts: LabelFacts): Label | null {
  const said = facts.newest === undefined || facts.newest.label === 'withdrawn' ? null : facts.newest.label;
  const label = resolveWish(intent, said);
  if (label === null) return null;
  return {
    key: `${facts.account}/${intent.key}`,
    account: facts.account,
    sample: facts.sample,
    label,
    source: intent.source,
    sender: facts.sender,
    previous: facts.previous,
    score: facts.score,
    model: facts.model,
    schema: facts.schema,
    weight: label === 'ham' ? RESCUE_WEIGHT : 1,
    at: intent.at,
  };
}

function resolveWish(intent: LabelIntent, said: 'spam' | 'ham' | null): Label['label'] | null {
  switch (intent.wish) {
    case 'withdrawn':
      return said === null ? null : 'withdrawn';
    case 'notSpam':
      return said === 'spam' ? 'withdrawn' : null;
    case 'notHam':
      return said === 'ham' ? 'withdrawn' : null;
    case 'spam':
    case 'ham':
      if (said === intent.wish) return null;
      // A move back is an undo; a keyword or the API says a new thing.
      return said !== null && intent.source === 'move' ? 'withdrawn' : intent.wish;
  }
}
