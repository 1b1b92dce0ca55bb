/**
 * Hands the hints of one account to those in this process who asked for them. A listener that throws is logged. Other
 * nodes' hints are brought by a source for as long as somebody here listens.
 */

import type { MailboxHint, Subscribe } from '../core/mail/hints.ts';
import type { AccountId } from '../core/mail/ids.ts';

type Listener = (hint: MailboxHint) => void;
/** Begins to bring an account's hints, by `publish`, and returns what ends it. */
type Source = (account: AccountId) => () => void;

export class HintHub {
  readonly #listeners = new Map<AccountId, Set<Listener>>();
  readonly #sources = new Map<AccountId, () => void>();
  readonly #failed: (error: unknown) => void;
  /** Where hints of other nodes come from; null when all come by `publish` anyway. */
  source: Source | null = null;

  constructor(failed: (error: unknown) => void) {
    this.#failed = failed;
  }

  of(account: AccountId): Subscribe<MailboxHint> {
    return (listener) => {
      const listeners = this.#listeners.get(account) ?? new Set<Listener>();
      this.#listeners.set(account, listeners);
      listeners.add(listener);
      if (listeners.size === 1 && this.source !== null) this.#sources.set(account, this.source(account));
      return () => {
        if (!listeners.delete(listener) || listeners.size > 0) return;
        this.#listeners.delete(account);
        this.#sources.get(account)?.();
        this.#sources.delete(account);
      };
    };
  }

  publish(hint: MailboxHint): void {
    for (const listener of this.#listeners.get(hint.account) ?? []) {
      try {
        listener(hint);
      } catch (error) {
        this.#failed(error);
      }
    }
  }
}
