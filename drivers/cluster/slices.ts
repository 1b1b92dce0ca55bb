/** Long work in slices of a few milliseconds, between which others get a turn. */

import { setImmediate as nextTurn } from 'node:timers/promises';

const SLICE_MS = 5;

export class Slices {
  #since = performance.now();

  /** Call it between two pieces that are short by themselves. */
  async pause(): Promise<void> {
    if (performance.now() - this.#since < SLICE_MS) return;
    await nextTurn();
    this.#since = performance.now();
  }
}
