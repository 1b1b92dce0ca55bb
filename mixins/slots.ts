/** Lets a few tasks run at a time; others wait in order, and no more than a limit of them. */

export class Slots {
  #free: number;
  readonly #waitingMax: number;
  readonly #waiting: (() => void)[] = [];

  constructor(slots: number, waitingMax: number) {
    this.#free = slots;
    this.#waitingMax = waitingMax;
  }

  /** Runs the task when its turn has come; undefined, and the task is not run, when too many wait already. */
  async run<T>(task: () => Promise<T>): Promise<T | undefined> {
    if (this.#free > 0) this.#free--;
    else {
      if (this.#waiting.length >= this.#waitingMax) return undefined;
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    try {
      return await task();
    } finally {
      const next = this.#waiting.shift();
      // A slot goes from one to the next without being free in between.
      if (next === undefined) this.#free++;
      else next();
    }
  }
}
