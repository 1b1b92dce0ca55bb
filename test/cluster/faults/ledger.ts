/**
 * What the mesh has promised to the load: copies of messages that were answered 250 or OK, where a MOVE that was answered
 * has left them, and the flags that a STORE that was answered has set. What had no answer may have happened or not, but
 * not by half, not twice, and not later than something that was asked for and answered afterwards.
 */

import type { Login } from '../../support/server.ts';

export const copyName = (account: string, messageId: string): string => `${account} ${messageId}`;

interface Flags {
  /** As the last STORE that was answered left them. */
  said: string;
  /** By STOREs since then that had no answer. */
  readonly open: Set<string>;
  /** Likewise, but before. */
  readonly late: Set<string>;
}

export class Ledger {
  /** Copies that were answered for, with their mailbox where a client's own command has decided it. */
  readonly promised = new Map<string, string | undefined>();
  /** Copies that were offered: no others may be anywhere. */
  readonly offered = new Set<string>();
  /** Copies whose MOVE had no answer. */
  readonly undecided = new Set<string>();
  /** By account: of one message each. */
  readonly flags = new Map<string, Flags>();

  flagsOf({ address }: Login): Flags {
    const known = this.flags.get(address) ?? { said: '', open: new Set<string>(), late: new Set<string>() };
    this.flags.set(address, known);
    return known;
  }
}

/** A mailbox that a copy was found in; its flags too. */
export interface Found {
  readonly mailboxes: ReadonlyMap<string, readonly string[]>;
  /** By account: the keywords of its flagged message. */
  readonly flags: ReadonlyMap<string, string>;
}

export interface Verdict {
  readonly lost: readonly string[];
  readonly doubled: readonly string[];
  readonly strange: readonly string[];
  readonly misplaced: readonly string[];
  readonly wrongFlags: readonly string[];
}

export function judge(ledger: Ledger, { mailboxes, flags }: Found): Verdict {
  const isMisplaced = ([copy, mailbox]: [string, string | undefined]): boolean =>
    mailbox !== undefined &&
    !ledger.undecided.has(copy) &&
    mailboxes.has(copy) &&
    mailboxes.get(copy)?.includes(mailbox) !== true;
  return {
    lost: [...ledger.promised.keys()].filter((copy) => !mailboxes.has(copy)),
    doubled: [...mailboxes].filter(([, all]) => all.length > 1).map(([copy, all]) => `${copy}: ${all.join(', ')}`),
    strange: [...mailboxes.keys()].filter((copy) => !ledger.offered.has(copy)),
    misplaced: [...ledger.promised]
      .filter(isMisplaced)
      .map(([copy, mailbox]) => `${copy}: ${mailbox}, not ${mailboxes.get(copy)}`),
    wrongFlags: [...ledger.flags].flatMap(([account, { said, open, late }]) => {
      const found = flags.get(account) ?? 'none';
      if (said === '' || found === said || open.has(found)) return [];
      return [`${account}: ${found}${late.has(found) ? ' (a late write)' : ''}, not ${said}`];
    }),
  };
}
