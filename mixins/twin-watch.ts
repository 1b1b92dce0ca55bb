/**
 * Of two nodes that go by one name the younger one ends. What a packet says is no reason to: the store has to know of
 * another living process of that name, which says so within seconds of its last sign of life.
 */

import { setTimeout as sleep } from 'node:timers/promises';

const ASK_MS = 500;
/** Longer than a living process takes to be known again, whose place this one may have taken. */
const ASKED_MS_MAX = 12_000;

export class TwinWatch {
  readonly #hasTwin: () => Promise<boolean>;
  readonly #end: () => void;
  #asking = false;

  /** @param end is called once it is certain */
  constructor(hasTwin: () => Promise<boolean>, end: () => void) {
    this.#hasTwin = hasTwin;
    this.#end = end;
  }

  /** An older node of this name has been heard of. */
  heard(): void {
    if (this.#asking) return;
    this.#asking = true;
    void this.#ask().finally(() => {
      this.#asking = false;
    });
  }

  async #ask(): Promise<void> {
    const began = performance.now();
    while (performance.now() - began < ASKED_MS_MAX) {
      // A store that is away is asked again.
      if (await this.#hasTwin().catch(() => false)) return this.#end();
      await sleep(ASK_MS, undefined, { ref: false });
    }
  }
}
