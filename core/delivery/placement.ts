/**
 * Which mailbox a recipient's copy goes to, and why: Junk when the spam stage says so for this account, else the mailbox
 * that the subaddress names when there is one (RFC 5233 §4), else the inbox.
 */

import { decisionFor, type SpamFacts } from '../filter/spam.ts';
import type { Verdict } from '../filter/verdict.ts';
import type { Recipient } from '../mail/envelope.ts';
import type { AccountId, MailboxId } from '../mail/ids.ts';
import type { Mailbox, Role } from '../ports/mail-store.ts';

export interface Placement {
  readonly account: AccountId;
  /** The recipient's address. */
  readonly recipient: string;
  readonly mailbox: MailboxId;
  readonly name: string;
  readonly role: Role | null;
  readonly why: string;
}

/** Recipients whose placement is written into the verdict; the others are placed when they are delivered. */
export const PLACEMENTS_LISTED_MAX = 50;

/** undefined when the account has no mailbox at all (it is being removed). */
export function place(
  recipient: Recipient,
  mailboxes: readonly Mailbox[],
  spam: Verdict | undefined,
  subaddressMailbox: boolean,
): Placement | undefined {
  const inbox = mailboxes.find((mailbox) => mailbox.role === 'inbox' || mailbox.name === 'INBOX');
  const put = (mailbox: Mailbox, why: string): Placement => ({
    account: recipient.account,
    recipient: recipient.address,
    mailbox: mailbox.id,
    name: mailbox.name,
    role: mailbox.role,
    why,
  });
  if (isSpamFor(recipient.account, spam)) {
    const junk = mailboxes.find((mailbox) => mailbox.role === 'junk');
    if (junk !== undefined) return put(junk, `spam for this account by ${spam!.version}`);
  }
  if (subaddressMailbox && recipient.subaddress !== '') {
    const named = byName(mailboxes, recipient.subaddress);
    if (named !== undefined) return put(named, 'subaddress names it');
  }
  if (inbox === undefined) return undefined;
  return put(inbox, spam === undefined || spam.skipped ? 'inbox: not checked for spam' : 'inbox');
}

function isSpamFor(account: AccountId, spam: Verdict | undefined): boolean {
  if (spam === undefined || spam.skipped) return false;
  const facts = spam.facts as Partial<SpamFacts>;
  if (facts.decision === undefined || facts.contrary === undefined) return false;
  return decisionFor({ decision: facts.decision, contrary: facts.contrary }, account) === 'spam';
}

/** The exact name first; else without regard to case, since addresses are often written in lower case. */
function byName(mailboxes: readonly Mailbox[], subaddress: string): Mailbox | undefined {
  const lower = subaddress.normalize('NFC').toLowerCase();
  return (
    mailboxes.find((mailbox) => mailbox.name === subaddress) ??
    mailboxes.find((mailbox) => mailbox.name.toLowerCase() === lower)
  );
}
