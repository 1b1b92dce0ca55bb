/** Lines about what was dropped: each while they are few, so that whoever sends nonsense in masses does not fill the log. */

import type { Logger } from 'pino';

const LINES_MAX = 10;
const WINDOW_MS = 60_000;

export class DropLog {
  readonly #log: Pick<Logger, 'warn'>;
  readonly #event: string;
  #since = Number.NEGATIVE_INFINITY;
  #lines = 0;
  /** Dropped without a line since the last one. */
  #unsaid = 0;

  constructor(log: Pick<Logger, 'warn'>, event: string) {
    this.#log = log;
    this.#event = event;
  }

  tell(facts: Readonly<Record<string, unknown>>): void {
    const now = performance.now();
    if (now - this.#since >= WINDOW_MS) {
      this.#since = now;
      this.#lines = 0;
    }
    if (this.#lines === LINES_MAX) {
      this.#unsaid++;
      return;
    }
    this.#lines++;
    this.#log.warn({ ...facts, ...(this.#unsaid > 0 ? { unsaid: this.#unsaid } : {}) }, this.#event);
    this.#unsaid = 0;
  }
}
