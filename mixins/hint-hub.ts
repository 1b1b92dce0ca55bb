/** Hands the hints of one account to those in this process who asked for them. A listener that throws is logged. */

import type { MailboxHint, Subscribe } from '../core/mail/hints.ts';
import type { AccountId } from '../core/mail/ids.ts';

type Listener = (hint: MailboxHint) => void;

export class HintHub {
  readonly #listeners = new Map<AccountId, Set<Listener>>();
  readonly #failed: (error: unknown) => void;

  constructor(failed: (error: unknown) => void) {
    this.#failed = failed;
  }

  of(account: AccountId): Subscribe<MailboxHint> {
    return (listener) => {
      const listeners = this.#listeners.get(account) ?? new Set<Listener>();
      this.#listeners.set(account, listeners);
      listeners.add(listener);
      return () => {
        listeners.delete(listener);
        if (listeners.size === 0 && this.#listeners.get(account) === listeners) this.#listeners.delete(account);
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
