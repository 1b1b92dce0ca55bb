/**
 * Taking custody comes before everything else: while mail streams in faster than it can be worked on, the stages hold back,
 * so that senders get their 250 and the queue takes the burst. Once mail has waited for long enough, both share again,
 * so a lasting load can't make the queue grow without the stages doing what they can.
 */

const WINDOW_MS = 125;
/** Accepted messages in a window from which on it is a burst: 120 a second. */
const BURST = 15;
/** What each stage still does meanwhile. */
const HELD_BACK_PER_S = 120;
const AT_ONCE_MAX = 8;
/** Mail is held back for no longer than this. */
const HOLD_MS_MAX = 15_000;
/** After older mail was seen, the stages run freely for so long. */
const FREE_MS = 1_000;

/** Counts acceptances of this process. */
export class Intake {
  #windowAt = 0;
  #count = 0;
  #before = 0;

  accepted(now: number): void {
    this.#turn(now);
    this.#count++;
  }

  isBurst(now: number): boolean {
    this.#turn(now);
    return Math.max(this.#count, this.#before) >= BURST;
  }

  #turn(now: number): void {
    const windows = Math.floor((now - this.#windowAt) / WINDOW_MS);
    if (windows === 0) return;
    this.#before = windows === 1 ? this.#count : 0;
    this.#count = 0;
    this.#windowAt += windows * WINDOW_MS;
  }
}

/** How much one stage may take on now. */
export class Pace {
  readonly #intake: Intake;
  #tokens = AT_ONCE_MAX;
  #filledAt = 0;
  #freeUntil = 0;

  constructor(intake: Intake) {
    this.#intake = intake;
  }

  /** Jobs that may be claimed; Infinity when nothing holds the stage back. */
  allowance(now: number): number {
    if (now < this.#freeUntil || !this.#intake.isBurst(now)) return Number.POSITIVE_INFINITY;
    const filled = this.#tokens + ((now - this.#filledAt) / 1000) * HELD_BACK_PER_S;
    this.#tokens = Math.min(AT_ONCE_MAX, Math.max(0, filled));
    this.#filledAt = now;
    return Math.floor(this.#tokens);
  }

  /** A job that was accepted at `acceptedAt` was claimed. */
  claimed(acceptedAt: number, now: number): void {
    this.#tokens--;
    if (now - acceptedAt > HOLD_MS_MAX) this.#freeUntil = now + FREE_MS;
  }
}

/** How soon a stage that was held back looks again. */
export const PACE_MS = 25;
