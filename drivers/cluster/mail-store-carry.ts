/**
 * When the owner carries out its commits: in the background once some have gathered, so that many small ones share the
 * writes, and before a commit is answered only where others look for its effects in the collections.
 */

import type { AccountId } from '../../core/mail/ids.ts';
import { applyEffects, deleteAll } from './mail-store-apply.ts';
import { Effects } from './mail-store-log.ts';
import { spillRef } from './mail-store-picture.ts';
import type { MailTables } from './mail-store-schema.ts';
import type { AccountState } from './mail-store-state.ts';

/** Commits are carried out when so many, or so large ones, have gathered; new ones wait for that when there are far more. */
const ENTRIES = 24;
const BYTES = 24 * 1024;
const ENTRIES_MAX = 200;
export const OPEN_BYTES_MAX = 1024 * 1024;

export class LogCarrier {
  readonly #tables: MailTables;
  readonly #account: AccountId;
  readonly #now: () => number;
  #applying: Promise<void> | undefined;
  /** Why it failed the last time. */
  #failure: unknown;

  constructor(tables: MailTables, account: AccountId, now: () => number) {
    this.#tables = tables;
    this.#account = account;
    this.#now = now;
  }

  get busy(): boolean {
    return this.#applying !== undefined;
  }

  async settled(): Promise<void> {
    await this.#applying;
  }

  /** Behind a commit. `spilled`: it is large, and every reader has to fetch it. */
  async tidy(state: AccountState, { shown, spilled }: { shown: boolean; spilled: boolean }): Promise<void> {
    if (shown) await this.all(state);
    else if (spilled || state.open.length >= ENTRIES || state.openBytes() >= BYTES) void this.#start(state);
  }

  /** Everything that is open now. What can't be carried out stays open and is tried again when more has gathered. */
  async all(state: AccountState): Promise<void> {
    await this.#applying;
    await this.#start(state);
  }

  /** Before a commit: rejects where the account's document has no room for more. */
  async makeRoom(state: AccountState): Promise<void> {
    if (!isFull(state)) return;
    await this.all(state);
    if (isFull(state)) throw this.#failure;
  }

  /** Never rejects. */
  #start(state: AccountState): Promise<void> {
    this.#applying ??= this.#apply(state)
      .catch((error) => {
        this.#failure = error;
      })
      .finally(() => {
        this.#applying = undefined;
      });
    return this.#applying;
  }

  async #apply(state: AccountState): Promise<void> {
    const { key, applied } = state;
    const effects = state.newer;
    const entries = [...state.open];
    const upTo = entries.at(-1)?.entry.m ?? applied;
    state.older = effects;
    state.newer = new Effects();
    try {
      await applyEffects(this.#tables, { account: this.#account, key, now: this.#now(), applied }, effects);
    } catch (error) {
      effects.add(state.newer);
      state.newer = effects;
      throw error;
    } finally {
      state.older = undefined;
    }
    state.applied = upTo;
    state.open = state.open.filter(({ entry }) => entry.m > upTo);
    const refs = entries.flatMap(({ entry }) =>
      Array.from({ length: entry.parts ?? 0 }, (_, part) => spillRef(state.doc, entry, part)),
    );
    if (refs.length === 0) return;
    // Readers need not fetch what is carried out; only then may it go.
    await this.#tables.accounts.updateOne({ _id: this.#account, key }, { $max: { applied: upTo } });
    await deleteAll(this.#tables.commits, refs);
  }
}

const isFull = (state: AccountState): boolean =>
  state.open.length >= ENTRIES_MAX || state.openBytes() >= OPEN_BYTES_MAX;
