/**
 * The reading end of a session for whatever waits on it: the command loop, a command's continuation lines, a literal's
 * bytes. As long as received bytes are being worked on the promise of `feed` is pending, so the listener reads no more.
 */

import { BadSyntax } from './bad-syntax.ts';
import { LIMITS_BEFORE_LOGIN } from './limits.ts';
import { ImapReader, type LiteralHeader } from './reader.ts';
import type { ImapWriter } from './writer.ts';

/** Ends a command whose connection is gone or being shut down; nobody is there to be told. */
export class ConnectionClosed extends Error {}

/** RFC 4954 §4.9's sense for SASL responses; DONE needs less. */
const CONTINUATION_BYTES_MAX = 12_288;

export class ImapInput {
  readonly reader: ImapReader;
  readonly #out: ImapWriter;
  #fed: (() => void) | null = null;
  #waiting: (() => void) | null = null;
  /** Counts feeds and wakes, so that none is lost while output is being flushed. */
  #events = 0;
  #ended = false;
  #draining = false;

  constructor(out: ImapWriter) {
    this.reader = new ImapReader(LIMITS_BEFORE_LOGIN);
    this.#out = out;
  }

  get draining(): boolean {
    return this.#draining;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Takes bytes; resolves when they have been worked on and more are wanted. */
  feed(bytes: Uint8Array): Promise<void> {
    if (this.#ended) return Promise.resolve();
    this.reader.push(bytes);
    const before = this.#fed;
    const fed = new Promise<void>((resolve) => {
      this.#fed =
        before === null
          ? resolve
          : () => {
              before();
              resolve();
            };
    });
    this.wake();
    return fed;
  }

  /** Makes whoever waits in `more` look again. */
  wake(): void {
    this.#events++;
    const waiting = this.#waiting;
    this.#waiting = null;
    waiting?.();
  }

  /** The connection is gone: everything that waits rejects with ConnectionClosed. */
  end(): void {
    this.#ended = true;
    this.reader.reset();
    this.#release();
    this.wake();
  }

  /** Shutting down: whoever waits for something new from the client is interrupted. */
  drain(): void {
    this.#draining = true;
    this.wake();
  }

  /**
   * Sends what is written, then waits for bytes or a `wake`.
   * @param interruptible false inside of a literal: a command that runs may end
   */
  async more(interruptible = true): Promise<void> {
    const seen = this.#events;
    if (this.#out.length > 0) await this.flush();
    this.#check(interruptible);
    if (this.#events !== seen) return;
    this.#release();
    await new Promise<void>((resolve) => {
      this.#waiting = resolve;
    });
    this.#check(interruptible);
  }

  /** Hands the output over and waits until the client has read enough of it. */
  async flush(): Promise<void> {
    if (this.#ended) throw new ConnectionClosed();
    try {
      await this.#out.flush();
    } catch {
      throw new ConnectionClosed();
    }
  }

  /** A continuation line, already here or null. Throws BadSyntax for one over the limit. */
  tryLine(): Uint8Array | null {
    const line = this.reader.nextLine(CONTINUATION_BYTES_MAX);
    if (line === 'overflow') throw new BadSyntax('Line is too long');
    return line;
  }

  /** The next continuation line. */
  async line(): Promise<Uint8Array> {
    for (;;) {
      const line = this.tryLine();
      if (line !== null) return line;
      await this.more();
    }
  }

  /** The announced literal's bytes as they come; asks the client for them first where it waits. */
  async *literal(header: LiteralHeader): AsyncGenerator<Uint8Array> {
    this.reader.stream();
    if (header.sync) this.#out.ascii('+ Ready for literal data\r\n');
    for (let left = header.size; left > 0; ) {
      const bytes = this.reader.take();
      if (bytes === null) {
        await this.more(false);
        continue;
      }
      left -= bytes.length;
      yield bytes;
    }
  }

  /** Behind a streamed literal: the command's line must end here. */
  async commandEnd(): Promise<void> {
    for (;;) {
      const event = this.reader.next();
      if (event === null) {
        await this.more(false);
        continue;
      }
      if (event.t === 'command') {
        const last = event.pieces.at(-1);
        if (last?.t === 'text' && last.bytes.length === 0) return;
      }
      throw new BadSyntax('Unexpected extra arguments');
    }
  }

  #check(interruptible: boolean): void {
    if (this.#ended || (this.#draining && interruptible)) throw new ConnectionClosed();
  }

  #release(): void {
    const fed = this.#fed;
    this.#fed = null;
    fed?.();
  }
}
