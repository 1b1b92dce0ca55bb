/** Keeps a long command from holding up everyone else: after a few milliseconds of work the event loop gets a turn. */

import type { ImapEnvironment } from './environment.ts';

const WORK_MS = 5;

export class Pace {
  readonly #env: Pick<ImapEnvironment, 'now' | 'turn'>;
  #since: number;

  constructor(env: Pick<ImapEnvironment, 'now' | 'turn'>) {
    this.#env = env;
    this.#since = env.now();
  }

  /** Between two steps of the work. */
  async step(): Promise<void> {
    // The clock may have been set back.
    if (Math.abs(this.#env.now() - this.#since) < WORK_MS) return;
    await this.#env.turn();
    this.#since = this.#env.now();
  }
}
