/**
 * Adds to a user's commit the label events that follow from it, so that both are written together (outbox) and a crash
 * between them can't exist. Costs nothing for commits that can't be about spam.
 */

import { hasFlag, JUNK, NOT_JUNK } from '../core/mail/flags.ts';
import { type AccountId, contentId, type MailboxId, modSeq } from '../core/mail/ids.ts';
import type { MailStoreReader, Op, Role } from '../core/ports/mail-store.ts';
import { labelIntents, type UserOperation } from '../core/spam/feedback.ts';
import type { Params } from './contracts.ts';

type Commit = Params<'mailbox.commit'>;

/** Whether a commit can be about spam at all: decided without a look at the store. */
export const mayLabel = ({ by, ops, label }: Commit): boolean =>
  by === 'user' && (label !== undefined || ops.some(concernsSpam));

function concernsSpam(op: Op): boolean {
  if (op.t === 'move' || op.t === 'copy') return true;
  // A replacing STORE may also take a keyword off.
  return op.t === 'store' && (op.mode === 'replace' || hasFlag(op.flags, JUNK) || hasFlag(op.flags, NOT_JUNK));
}

export async function withLabels(store: MailStoreReader, commit: Commit, now: number): Promise<readonly Op[]> {
  const { account, ops, by, label } = commit;
  const roles = new Map((await store.mailboxes(account)).map((mailbox) => [mailbox.id, mailbox.role]));
  const operations: UserOperation[] = [];
  // A label by the API says it all: the move that comes with it says nothing more.
  for (const op of label === undefined ? ops : []) {
    if (!concernsSpam(op)) continue;
    const operation = await userOperation(store, account, roles, op);
    if (operation !== null) operations.push(operation);
  }
  if (label !== undefined) {
    const messages = await affected(store, account, label.mailbox, label.uids);
    operations.push({ t: 'label', label: label.label, messages });
  }
  if (operations.length === 0) return ops;
  const state = await store.account(account);
  const intents = labelIntents({ by, modSeq: modSeq((state?.modSeq ?? 0) + 1), at: now, operations });
  return [
    ...ops,
    ...intents.map(
      (intent): Op => ({ t: 'outbox', topic: 'feedback', key: `${account}:${intent.key}`, payload: intent }),
    ),
  ];
}

async function userOperation(
  store: MailStoreReader,
  account: AccountId,
  roles: ReadonlyMap<MailboxId, Role | null>,
  op: Op,
): Promise<UserOperation | null> {
  if (op.t === 'move' || op.t === 'copy') {
    const from = roles.get(op.from) ?? null;
    const to = roles.get(op.to) ?? null;
    if (from !== 'junk' && to !== 'junk') return null;
    return { t: op.t, from, to, messages: await affected(store, account, op.from, op.uids) };
  }
  if (op.t === 'store')
    return {
      t: 'store',
      mode: op.mode,
      flags: op.flags,
      messages: await affected(store, account, op.mailbox, op.uids),
    };
  return null;
}

async function affected(store: MailStoreReader, account: AccountId, mailbox: MailboxId, uids: Uint32Array) {
  const rows = await store.rows(account, mailbox, uids);
  return rows.map((row) => ({ content: contentId(row.content), flags: row.flags }));
}
