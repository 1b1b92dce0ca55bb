/**
 * How far a long command is: a bar with rate and time left on a terminal, a plain line now and then elsewhere. It writes to
 * standard error, so that what a command prints can be read by programs.
 */

import { formatSize, formatSpan } from './format.ts';

export interface ProgressStream {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

interface ProgressOptions {
  readonly label: string;
  readonly total: { readonly unit: 'bytes' | 'messages'; readonly count: number; readonly done: number };
  readonly stream: ProgressStream;
  /** Milliseconds from any beginning. */
  readonly now: () => number;
}

const BAR = 24;
const DRAW_MS = 100;
const PLAIN_MS = 5000;

export class Progress {
  readonly #options: ProgressOptions;
  readonly #begun: number;
  #drawn: number;
  #messages = 0;
  #bytes = 0;
  #count: number;

  constructor(options: ProgressOptions) {
    this.#options = options;
    this.#count = options.total.count;
    this.#begun = options.now();
    this.#drawn = options.stream.isTTY ? Number.NEGATIVE_INFINITY : this.#begun;
  }

  /** How much there is in all, where that is not known from the beginning. */
  expect(count: number): void {
    this.#count = count;
  }

  add(messages: number, bytes: number): void {
    this.#messages += messages;
    this.#bytes += bytes;
    const now = this.#options.now();
    const { isTTY } = this.#options.stream;
    if (now - this.#drawn < (isTTY ? DRAW_MS : PLAIN_MS)) return;
    this.#drawn = now;
    this.#options.stream.write(isTTY ? `\r\x1b[K${this.#line(now)}` : `${this.#line(now)}\n`);
  }

  /** Takes the bar away, so that other lines can be written. Returns how long it took in milliseconds. */
  end(): number {
    if (this.#options.stream.isTTY) this.#options.stream.write('\r\x1b[K');
    return this.#options.now() - this.#begun;
  }

  #line(now: number): string {
    const { label, total, stream } = this.#options;
    const seconds = Math.max(0.001, (now - this.#begun) / 1000);
    const counts = `${this.#messages} messages, ${formatSize(this.#bytes)}, ${Math.round(this.#messages / seconds)}/s`;
    const count = this.#count;
    if (count === 0) return `${label}: ${counts}`;
    // What an earlier run did counts for the share, not for the rate.
    const fresh = total.unit === 'bytes' ? this.#bytes : this.#messages;
    const done = Math.min(count, total.done + fresh);
    const left = fresh === 0 ? '' : `, ${formatSpan(((count - done) / fresh) * seconds * 1000)} left`;
    const full = Math.round((done / count) * BAR);
    const bar = stream.isTTY ? `[${'#'.repeat(full)}${'.'.repeat(BAR - full)}] ` : '';
    return `${label}: ${bar}${Math.floor((done / count) * 100)} %, ${counts}${left}`;
  }
}
