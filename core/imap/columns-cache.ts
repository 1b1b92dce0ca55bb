/**
 * The columns of mailboxes that some session has selected, one copy for all sessions of the process, kept up to date by
 * `changes`. A session's own view (what it has been told) is in mailbox-view.ts.
 */

import type { AccountId, MailboxId } from '../mail/ids.ts';
import type { Columns, MailStoreReader } from '../ports/mail-store.ts';

export class ColumnsCache {
  readonly #store: MailStoreReader;

  constructor(store: MailStoreReader) {
    this.#store = store;
  }

  load(account: AccountId, mailbox: MailboxId): Promise<Columns | undefined> {
    return this.#store.columns(account, mailbox);
  }
}
