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
  /** Bytes to do, or null where nobody knows. */
  readonly totalBytes: number | null;
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
  #items = 0;
  #bytes = 0;
  /** What an earlier run had done: counts for the share, not for the rate. */
  #skippedBytes = 0;

  constructor(options: ProgressOptions) {
    this.#options = options;
    this.#begun = options.now();
    this.#drawn = options.stream.isTTY ? Number.NEGATIVE_INFINITY : this.#begun;
  }

  skip(bytes: number): void {
    this.#skippedBytes += bytes;
  }

  add(items: number, bytes: number): void {
    this.#items += items;
    this.#bytes += bytes;
    const now = this.#options.now();
    const { isTTY } = this.#options.stream;
    if (now - this.#drawn < (isTTY ? DRAW_MS : PLAIN_MS)) return;
    this.#drawn = now;
    this.#options.stream.write(isTTY ? `\r\x1b[K${this.#line(now)}` : `${this.#line(now)}\n`);
  }

  /** Takes the bar away. Returns the time it took in milliseconds. */
  end(): number {
    if (this.#options.stream.isTTY) this.#options.stream.write('\r\x1b[K');
    return this.#options.now() - this.#begun;
  }

  #line(now: number): string {
    const { label, totalBytes, stream } = this.#options;
    const seconds = Math.max(0.001, (now - this.#begun) / 1000);
    const counts = `${this.#items} messages, ${formatSize(this.#bytes)}, ${Math.round(this.#items / seconds)}/s`;
    if (totalBytes === null || totalBytes === 0) return `${label}: ${counts}`;
    const done = Math.min(totalBytes, this.#skippedBytes + this.#bytes);
    const share = done / totalBytes;
    const left = this.#bytes === 0 ? '' : `, ${formatSpan(((totalBytes - done) / this.#bytes) * seconds * 1000)} left`;
    const full = Math.round(share * BAR);
    const bar = stream.isTTY ? `[${'#'.repeat(full)}${'.'.repeat(BAR - full)}] ` : '';
    return `${label}: ${bar}${Math.floor(share * 100)} %, ${counts}${left}`;
  }
}
