/**
 * A message while it comes in: its bytes go on to the blob store as they arrive, only the header section is kept, within
 * a limit. The first thing that is wrong with it is remembered and the rest is swallowed, so that the stream of commands
 * stays in step and the reply comes where the client waits for it.
 */

import type { ReplyKey } from '../mail/reply.ts';
import type { BlobInfo, BlobWriter } from '../ports/blob-store.ts';
import type { SmtpEnvironment } from './environment.ts';
import { asTrouble, stackOf } from './trouble.ts';

const BLANK_LINE = '\r\n\r\n';
const FIRST_BYTES = 4096;

export class Incoming {
  /** Of the message as it is stored. */
  size = 0;
  readonly #env: SmtpEnvironment;
  readonly #session: string;
  #writer: BlobWriter | null = null;
  #failure: ReplyKey | null = null;
  #header = Buffer.alloc(0);
  #headerBytes = 0;
  #headerDone = false;

  constructor(env: SmtpEnvironment, session: string) {
    this.#env = env;
    this.#session = session;
    try {
      this.#writer = env.blobs.writer();
    } catch (thrown) {
      this.trouble(thrown);
    }
  }

  /** Why it will be refused, or null. */
  get failure(): ReplyKey | null {
    return this.#failure;
  }

  /** The header section with its blank line; all of a message that has none. */
  get header(): Buffer {
    return this.#header.subarray(0, this.#headerBytes);
  }

  /** Refuses it: the first reason counts. The header section is kept for the record. */
  fail(reply: ReplyKey): void {
    this.#failure ??= reply;
    this.#abort();
  }

  /** Something threw: logged here, answered when the message ends. */
  trouble(thrown: unknown): void {
    const error = asTrouble(thrown);
    this.#env.log('message not stored', { session: this.#session, reply: error.reply, stack: stackOf(error) });
    this.fail(error.reply);
  }

  async write(bytes: Buffer): Promise<void> {
    this.size += bytes.length;
    if (this.#writer === null) return;
    if (!this.#headerDone && !this.#keepHeader(bytes)) return this.fail('headerTooBig');
    if (this.size > this.#env.config.sizeBytesMax) return this.fail('messageTooBig');
    try {
      await this.#writer.write(bytes);
    } catch (thrown) {
      this.trouble(thrown);
    }
  }

  /** Resolves when the bytes survive power loss. */
  commit(): Promise<BlobInfo> {
    return this.#writer!.commit();
  }

  /** Forgets it. */
  discard(): void {
    this.#header = Buffer.alloc(0);
    this.#headerBytes = 0;
    this.#abort();
  }

  #abort(): void {
    const writer = this.#writer;
    this.#writer = null;
    writer?.abort().catch((thrown: unknown) => {
      const error = asTrouble(thrown);
      this.#env.log('message not aborted', { session: this.#session, stack: stackOf(error) });
    });
  }

  /** False when the header section passes its limit. */
  #keepHeader(bytes: Buffer): boolean {
    const before = this.#headerBytes;
    const limit = this.#env.config.headerBytesMax;
    const length = Math.min(bytes.length, limit + 1 - before);
    this.#reserve(before + length);
    bytes.copy(this.#header, before, 0, length);
    this.#headerBytes = before + length;
    // A message that begins with its blank line has no fields (RFC 5322 §2.1).
    if (this.header.subarray(0, 2).equals(Buffer.from('\r\n'))) this.#endHeader(2);
    else {
      const blank = this.header.indexOf(BLANK_LINE, Math.max(0, before - 3), 'latin1');
      if (blank >= 0) this.#endHeader(blank + BLANK_LINE.length);
    }
    return this.#headerDone || this.#headerBytes <= limit;
  }

  #endHeader(end: number): void {
    this.#headerDone = true;
    this.#headerBytes = end;
    // What was copied with it is the body's beginning: not held any longer than needed.
    this.#header = Buffer.from(this.header);
  }

  #reserve(bytes: number): void {
    if (this.#header.length >= bytes) return;
    let size = Math.max(FIRST_BYTES, this.#header.length);
    while (size < bytes) size *= 2;
    const larger = Buffer.allocUnsafe(size);
    this.#header.copy(larger, 0, 0, this.#headerBytes);
    this.#header = larger;
  }
}
