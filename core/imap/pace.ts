/**
 * Keeps a long command from holding up everyone else: after a few milliseconds of work the event loop gets a turn. Behind
 * it, a command whose client has gone ends.
 */

import { ConnectionClosed } from './input.ts';
import type { ImapSession } from './session.ts';

const WORK_MS = 5;

export class Pace {
  readonly #session: Pick<ImapSession, 'env' | 'input'>;
  #since: number;

  constructor(session: Pick<ImapSession, 'env' | 'input'>) {
    this.#session = session;
    this.#since = session.env.now();
  }

  /** Between two steps of the work. */
  async step(): Promise<void> {
    const { env, input } = this.#session;
    // The clock may have been set back.
    if (Math.abs(env.now() - this.#since) < WORK_MS) return;
    await env.turn();
    if (input.ended) throw new ConnectionClosed();
    this.#since = env.now();
  }
}
