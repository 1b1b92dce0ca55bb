/**
 * Fills the search index behind the mail: accounts that changed are caught up with in batches once they have been quiet
 * for a moment, so delivering never waits for it. What is not indexed yet is searched on the messages themselves.
 */

import { setImmediate as nextTurn } from 'node:timers/promises';
import { TemporaryError } from '../core/mail/errors.ts';
import type { AccountId, ContentId } from '../core/mail/ids.ts';
import { readRange } from '../core/mail/layout.ts';
import { bodyText, foldedFields, foldedHeader } from '../core/mime/search-text.ts';
import { decodeStructure } from '../core/mime/structure-code.ts';
import type { Content } from '../core/ports/mail-store.ts';
import type { SearchDocument } from '../core/ports/search-store.ts';
import { Intake } from './pace.ts';
import type { Stores } from './storage.ts';

/** An account is caught up with after this much quiet, or when it has waited for LONGEST_MS. */
const QUIET_MS = 2_000;
const LONGEST_MS = 20_000;
const BATCH = 50;
/** Characters of one document that are indexed; a longer one is always a candidate. */
const BODY_CHARACTERS_MAX = 1024 * 1024;
const ACCOUNTS_PAGE = 1_000;
/** Accounts that wait; of more than that a later change is needed to be caught up with. */
const WAITING_MAX = 100_000;
/** Of one document's work, before others get a turn. */
const SLICE_MS = 5;

/** A burst stops the indexing for at most this long. */
const BURST_MS_MAX = 300_000;
const BURST_CHECK_MS = 500;
/** While mailboxes change, the indexing rests for this many times as long as it worked. */
const REST_SHARE = 3;
const REST_MS_MAX = 2_000;

interface Waiting {
  readonly since: number;
  at: number;
}

export class SearchIndexer {
  readonly #stores: Stores;
  readonly #now: () => number;
  readonly #failed: (error: unknown) => void;
  readonly #waiting = new Map<AccountId, Waiting>();
  #timer: NodeJS.Timeout | undefined;
  #working: Promise<void> | undefined;
  #stopped = false;
  /** Commits of this process: indexing makes room for them. */
  readonly #commits = new Intake();
  readonly #intake: Intake;
  #lastCommitAt = 0;
  #awake: (() => void) | undefined;

  /** @param intake acceptances of this process: taking custody comes before indexing */
  constructor(stores: Stores, intake: Intake, now: () => number, failed: (error: unknown) => void) {
    this.#stores = stores;
    this.#intake = intake;
    this.#now = now;
    this.#failed = failed;
  }

  /** Something of the account was committed. */
  changed(account: AccountId): void {
    const now = this.#now();
    this.#commits.accepted(now);
    this.#lastCommitAt = now;
    const waiting = this.#waiting.get(account);
    if (waiting === undefined) {
      if (this.#waiting.size < WAITING_MAX) this.#waiting.set(account, { since: now, at: now + QUIET_MS });
    } else waiting.at = Math.min(now + QUIET_MS, waiting.since + LONGEST_MS);
    this.#schedule();
  }

  /** Those accounts that changed while nobody listened. */
  async catchUp(wanted: (account: AccountId) => boolean): Promise<void> {
    for (let cursor: AccountId | null = null; !this.#stopped; ) {
      const accounts: readonly AccountId[] = await this.#stores.mail.accounts(cursor, ACCOUNTS_PAGE);
      for (const account of accounts) {
        if (!wanted(account)) continue;
        const state = await this.#stores.mail.account(account);
        if (state !== undefined && state.modSeq > (await this.#stores.search.mark(account))) this.changed(account);
      }
      if (accounts.length < ACCOUNTS_PAGE) return;
      cursor = accounts.at(-1)!;
      await nextTurn();
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#awake?.();
    await this.#working;
  }

  /** Called between two steps of work: waits while mail streams in, and rests while there is some. */
  async #makeRoom(workedMs: number): Promise<void> {
    const began = this.#now();
    while (!this.#stopped && this.#isBusy() && Math.abs(this.#now() - began) < BURST_MS_MAX)
      await this.#sleep(BURST_CHECK_MS);
    if (this.#now() - this.#lastCommitAt < QUIET_MS) await this.#sleep(Math.min(REST_MS_MAX, workedMs * REST_SHARE));
  }

  #isBusy(): boolean {
    const now = this.#now();
    return this.#commits.isBurst(now) || this.#intake.isBurst(now);
  }

  #sleep(ms: number): Promise<void> {
    if (this.#stopped) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#awake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** One at a time: two that catch up with the same account index everything twice. */
  #schedule(): void {
    if (this.#stopped || this.#working !== undefined || this.#waiting.size === 0) return;
    this.#timer ??= setTimeout(() => this.#wake(), QUIET_MS).unref();
  }

  #wake(): void {
    this.#timer = undefined;
    this.#working = this.#work()
      .catch(this.#failed)
      .finally(() => {
        this.#working = undefined;
        this.#schedule();
      });
  }

  async #work(): Promise<void> {
    for (const [account, { at }] of this.#waiting) {
      if (this.#stopped) return;
      if (at > this.#now()) continue;
      this.#waiting.delete(account);
      try {
        await this.#index(account);
      } catch (error) {
        if (!(error instanceof TemporaryError)) {
          // What is wrong with one account keeps no other from its turn.
          this.#failed(error);
          continue;
        }
        // None of the others would fare better now. When the stores are back nobody tells of what was missed.
        const now = this.#now();
        if (!this.#waiting.has(account)) this.#waiting.set(account, { since: now, at: now + QUIET_MS });
        throw error;
      }
    }
  }

  async #index(account: AccountId): Promise<void> {
    const { mail, search } = this.#stores;
    for (let since = await search.mark(account); !this.#stopped; ) {
      const { changed, upTo, more, tooOld } = await mail.changes(account, null, since, BATCH);
      // Behind the history floor only expunges are lost, and they need no index.
      const fresh = changed.filter((row) => tooOld || row.created > since);
      const ids = [...new Set(fresh.map((row) => row.content))];
      const documents: SearchDocument[] = [];
      for (const content of await mail.contents(account, ids, ['layout', 'size', 'structure'])) {
        if (content === undefined) continue;
        const began = performance.now();
        documents.push(await this.#documentOrNone(account, content));
        await nextTurn();
        await this.#makeRoom(performance.now() - began);
        if (this.#stopped) return;
      }
      const began = performance.now();
      await search.index(documents, [{ account, mark: upTo }]);
      await this.#makeRoom(performance.now() - began);
      if (!more) return;
      since = upTo;
    }
  }

  /** A message that can't be read must not keep the others out of the index: it stays a candidate of every search. */
  async #documentOrNone(account: AccountId, content: Content): Promise<SearchDocument> {
    try {
      return await this.#document(account, content);
    } catch (error) {
      this.#failed(error);
      return { account, content: content.id as ContentId, header: '', body: '', truncated: true };
    }
  }

  async #document(account: AccountId, content: Content): Promise<SearchDocument> {
    const { blobs } = this.#stores;
    const root = decodeStructure(content.structure);
    const header = foldedHeader(foldedFields(await readRange(blobs, content.layout, 0, root.bodyStart)));
    let body = '';
    let since = performance.now();
    for await (const { text, first } of bodyText(blobs, content.layout, root)) {
      if (body.length + text.length > BODY_CHARACTERS_MAX)
        return { account, content: content.id as ContentId, header, body, truncated: true };
      body += first && body !== '' ? `\n${text}` : text;
      if (performance.now() - since < SLICE_MS) continue;
      await nextTurn();
      since = performance.now();
    }
    return { account, content: content.id as ContentId, header, body, truncated: false };
  }
}
