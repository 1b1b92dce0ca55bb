/** A clock that jumps from one thing that is to happen to the next; things of the same moment happen in their order. */

type Work = () => void;

export class Calendar {
  /** Milliseconds since the beginning. */
  now = 0;
  /** A binary heap by time and order. */
  readonly #times: number[] = [];
  readonly #orders: number[] = [];
  readonly #works: Work[] = [];
  #order = 0;

  /** At a time that is not past. */
  at(time: number, work: Work): void {
    let i = this.#times.length;
    const order = this.#order++;
    for (; i > 0; ) {
      const up = (i - 1) >> 1;
      if (!this.#after(up, time, order)) break;
      this.#move(up, i);
      i = up;
    }
    this.#set(i, time, order, work);
  }

  in(ms: number, work: Work): void {
    this.at(this.now + ms, work);
  }

  /** Does what is to happen until then, and `arrive` at the times that `arrive` itself names. */
  run(until: number, arrive: () => number, first: number): void {
    let next = first;
    for (;;) {
      const due = this.#times[0] ?? Number.POSITIVE_INFINITY;
      if (Math.min(due, next) > until) break;
      if (next < due) {
        this.now = next;
        next = arrive();
      } else this.#pop()();
    }
    this.now = until;
  }

  #after(i: number, time: number, order: number): boolean {
    const other = this.#times[i]!;
    return other > time || (other === time && this.#orders[i]! > order);
  }

  #move(from: number, to: number): void {
    this.#set(to, this.#times[from]!, this.#orders[from]!, this.#works[from]!);
  }

  #set(i: number, time: number, order: number, work: Work): void {
    this.#times[i] = time;
    this.#orders[i] = order;
    this.#works[i] = work;
  }

  #pop(): Work {
    const work = this.#works[0]!;
    this.now = this.#times[0]!;
    const time = this.#times.pop()!;
    const order = this.#orders.pop()!;
    const last = this.#works.pop()!;
    const size = this.#times.length;
    if (size === 0) return work;
    let i = 0;
    for (;;) {
      let down = 2 * i + 1;
      if (down >= size) break;
      if (down + 1 < size && this.#after(down, this.#times[down + 1]!, this.#orders[down + 1]!)) down++;
      if (this.#after(down, time, order)) break;
      this.#move(down, i);
      i = down;
    }
    this.#set(i, time, order, last);
    return work;
  }
}
