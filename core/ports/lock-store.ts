/**
 * Locks by name, for work that one at a time may do: training, upkeep, a POP3 maildrop. A lock runs out by itself, so a
 * holder that is gone blocks nobody for long; it is a courtesy and no fence, and what it guards must bear a second one.
 */

export interface LockStore {
  /**
   * Takes a free lock or one that ran out, or renews the owner's own. False while another holds it, unless that is `gone`.
   * Time is the store's.
   */
  take(name: string, owner: string, ttlMs: number, gone?: string): Promise<boolean>;
  /** Whose it is, or was when it ran out, as long as that is known. */
  holder(name: string): Promise<{ readonly owner: string } | undefined>;
  /** Gives it back early. Without effect when it is another's by now. */
  release(name: string, owner: string): Promise<void>;
}
