/**
 * The columns of mailboxes that some session has selected, one copy for all sessions of the process, and of those that
 * were selected lately, so that selecting one again costs only what has changed since. Also what is kept about contents.
 */

import type { AccountId, MailboxId } from '../mail/ids.ts';
import type { MailStoreReader } from '../ports/mail-store.ts';
import { ContentCache } from './content-cache.ts';
import { MailboxColumns } from './mailbox-columns.ts';

/** Of mailboxes that nobody has selected. */
const UNUSED_BYTES_MAX = 24 * 1024 * 1024;
const UNUSED_MAX = 256;
const ENVELOPES_BYTES_MAX = 64 * 1024 * 1024;
const STRUCTURES_BYTES_MAX = 48 * 1024 * 1024;

interface Entry {
  users: number;
  readonly loading: Promise<MailboxColumns | undefined>;
  columns: MailboxColumns | null;
}

export class ColumnsCache {
  /** ENVELOPE as it is sent. */
  readonly envelopes = new ContentCache(ENVELOPES_BYTES_MAX);
  /** BODYSTRUCTURE as it is sent. */
  readonly bodystructures = new ContentCache(STRUCTURES_BYTES_MAX);
  /** BODY as it is sent. */
  readonly bodies = new ContentCache(STRUCTURES_BYTES_MAX / 4);
  readonly #store: MailStoreReader;
  /** In order of their last use, oldest first. */
  readonly #entries = new Map<string, Entry>();

  constructor(store: MailStoreReader) {
    this.#store = store;
  }

  /** The mailbox as it is now, to be given back by `release`; undefined where there is none. */
  async acquire(account: AccountId, mailbox: MailboxId): Promise<MailboxColumns | undefined> {
    const key = `${account}/${mailbox}`;
    let entry = this.#entries.get(key);
    const first = entry === undefined;
    if (entry === undefined) {
      entry = { users: 0, loading: this.#load(account, mailbox), columns: null };
      this.#entries.set(key, entry);
    }
    entry.users++;
    try {
      const columns = await entry.loading;
      if (columns === undefined) {
        this.#drop(key, entry);
        return undefined;
      }
      entry.columns = columns;
      // What another session began to load may lack what this one has just seen committed.
      if (!first) await columns.refresh();
      return columns;
    } catch (thrown) {
      entry.users--;
      if (entry.columns === null) this.#drop(key, entry);
      throw thrown;
    }
  }

  release(columns: MailboxColumns): void {
    const key = `${columns.account}/${columns.mailbox}`;
    const entry = this.#entries.get(key);
    if (entry?.columns !== columns) return;
    entry.users--;
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    if (entry.users === 0) this.#trim();
  }

  async #load(account: AccountId, mailbox: MailboxId): Promise<MailboxColumns | undefined> {
    const columns = await this.#store.columns(account, mailbox);
    return columns === undefined ? undefined : new MailboxColumns(this.#store, account, columns);
  }

  #drop(key: string, entry: Entry): void {
    if (this.#entries.get(key) === entry) this.#entries.delete(key);
  }

  /** Forgets unused mailboxes beyond the limits, those longest unused first. */
  #trim(): void {
    const unused = [...this.#entries].filter(([, entry]) => entry.users === 0 && entry.columns !== null);
    let bytes = 0;
    for (const [, entry] of unused) bytes += entry.columns!.sizeBytes;
    let count = unused.length;
    for (const [key, entry] of unused) {
      if (bytes <= UNUSED_BYTES_MAX && count <= UNUSED_MAX) return;
      bytes -= entry.columns!.sizeBytes;
      count--;
      this.#entries.delete(key);
    }
  }
}
