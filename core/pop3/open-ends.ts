/**
 * Which messages do not end in CRLF: they are sent with one more, which their size must count. Found from the stored
 * structures, and remembered for each mailbox as the uid up to which they were looked at and the few that were found, so
 * a maildrop's sizes cost a look at its new messages only. Messages never change, so nothing is ever stale.
 */

import type { AccountId, ContentId, MailboxId } from '../mail/ids.ts';
import { endsInCrlf } from '../mime/structure-code.ts';
import type { MailStoreReader } from '../ports/mail-store.ts';

interface Known {
  upTo: number;
  readonly uids: Set<number>;
}

const MAILBOXES_MAX = 10_000;
const CONTENTS_AT_ONCE = 500;

/** A mailbox's messages, uid ascending. */
export interface Messages {
  readonly account: AccountId;
  readonly mailbox: MailboxId;
  readonly uids: Uint32Array;
  readonly contents: Float64Array;
}

export class OpenEnds {
  readonly #store: Pick<MailStoreReader, 'contents'>;
  readonly #known = new Map<string, Known>();

  constructor(store: Pick<MailStoreReader, 'contents'>) {
    this.#store = store;
  }

  /** The uids of those messages. `breathe` is called between long looks. */
  async of(messages: Messages, breathe: () => Promise<void>): Promise<ReadonlySet<number>> {
    const { account, mailbox, uids, contents } = messages;
    const known = this.#entry(`${account}/${mailbox}`);
    let at = firstAbove(uids, known.upTo);
    while (at < uids.length) {
      const end = Math.min(uids.length, at + CONTENTS_AT_ONCE);
      const ids = Array.from(contents.subarray(at, end)) as ContentId[];
      const found = await this.#store.contents(account, ids, ['structure']);
      for (const [index, content] of found.entries()) {
        if (content !== undefined && !endsInCrlf(content.structure)) known.uids.add(uids[at + index]!);
      }
      known.upTo = Math.max(known.upTo, uids[end - 1]!);
      at = end;
      if (at < uids.length) await breathe();
    }
    return known.uids;
  }

  #entry(key: string): Known {
    const known = this.#known.get(key) ?? { upTo: 0, uids: new Set<number>() };
    this.#known.delete(key);
    this.#known.set(key, known);
    if (this.#known.size > MAILBOXES_MAX) this.#known.delete(this.#known.keys().next().value!);
    return known;
  }
}

function firstAbove(uids: Uint32Array, uid: number): number {
  let low = 0;
  let high = uids.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (uids[middle]! <= uid) low = middle + 1;
    else high = middle;
  }
  return low;
}
