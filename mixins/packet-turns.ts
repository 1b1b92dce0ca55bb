/**
 * Large packets on their way into the one connection: what they are made of leaves in turns, a window at a time, so that
 * small packets never wait behind more than that, and large ones not behind one another. The next window is begun when
 * the server has the last one.
 */

import { TemporaryError } from '../core/mail/errors.ts';
import { PACKET_BYTES_MAX } from './packet-pieces.ts';

/** What may be in the connection's buffer at once, but for what was begun before it was full. */
const WINDOW_BYTES = 1024 * 1024;
/** Packets that leave at once; together no larger than one may be, which is what a receiver holds of a sender. */
const AT_ONCE = 4;
/** Waits for its turn; beyond, whoever sends is told to come again. */
const QUEUED_BYTES_MAX = 2 * PACKET_BYTES_MAX;

interface Job {
  readonly parts: Iterator<Uint8Array, void, void>;
  readonly bytes: number;
  readonly publish: (part: Uint8Array) => void;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class PacketTurns {
  readonly #flush: () => Promise<void>;
  readonly #queue: Job[] = [];
  #queued = 0;
  /** Bytes since the last flush. */
  #window = 0;
  #running = false;

  /** @param flush resolves when what was published has reached the server */
  constructor(flush: () => Promise<void>) {
    this.#flush = flush;
  }

  /**
   * Resolves when all parts are published; rejects with what `publish` throws, when the connection breaks meanwhile, and
   * when too much waits already.
   * @param bytes of all parts
   */
  send(parts: Iterable<Uint8Array, void, void>, bytes: number, publish: (part: Uint8Array) => void): Promise<void> {
    if (this.#queued > 0 && this.#queued + bytes > QUEUED_BYTES_MAX)
      return Promise.reject(
        new TemporaryError('storeUnavailable', { detail: 'too many large packets wait to leave', passing: true }),
      );
    return new Promise((resolve, reject) => {
      this.#queued += bytes;
      this.#queue.push({ parts: parts[Symbol.iterator](), bytes, publish, resolve, reject });
      if (!this.#running) void this.#run();
    });
  }

  async #run(): Promise<void> {
    this.#running = true;
    let active: Job[] = [];
    while (active.length > 0 || this.#queue.length > 0) {
      this.#admit(active);
      const job = active.shift()!;
      const sent = step(job);
      if (sent !== undefined) active.push(job);
      this.#window += sent ?? 0;
      if (this.#window < WINDOW_BYTES) continue;
      this.#window = 0;
      try {
        await this.#flush();
      } catch (error) {
        // Parts of them may be lost.
        for (const { reject } of active) reject(error);
        active = [];
      }
    }
    this.#running = false;
  }

  #admit(active: Job[]): void {
    let bytes = active.reduce((sum, job) => sum + job.bytes, 0);
    while (this.#queue.length > 0 && active.length < AT_ONCE) {
      bytes += this.#queue[0]!.bytes;
      if (active.length > 0 && bytes > PACKET_BYTES_MAX) return;
      const job = this.#queue.shift()!;
      this.#queued -= job.bytes;
      active.push(job);
    }
  }
}

/** Bytes that one more part took; undefined when the job has ended. */
function step({ parts, publish, resolve, reject }: Job): number | undefined {
  try {
    const { value, done } = parts.next();
    if (done === true) {
      resolve();
      return;
    }
    publish(value);
    return value.length;
  } catch (error) {
    reject(error);
    return;
  }
}
