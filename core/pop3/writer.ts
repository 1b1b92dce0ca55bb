/**
 * What a session answers, collected until it is worth a write, then given to the wire in one piece. After a certain
 * amount the session waits for the client to read and lets others have their turn, however much the client has asked for
 * at once.
 */

import type { Wire } from '../mail/wire.ts';

/** Collected before it is handed over in between. */
const FLUSH_BYTES = 64 * 1024;
/** Larger pieces are not copied together. */
const MERGED_BYTES_MAX = 2 * FLUSH_BYTES;
/** Written before other connections get their turn. */
const BREATH_BYTES = 256 * 1024;

/** Ends a command whose connection is gone; nobody is there to be told. */
export class ConnectionLost extends Error {}

export class Pop3Writer {
  readonly #wire: Wire;
  readonly #breathe: () => Promise<void>;
  #pieces: (string | Uint8Array)[] = [];
  #length = 0;
  /** Handed over since the wire was last seen drained. */
  #unread = 0;
  #sinceBreath = 0;
  /** It is the client that is waited for. */
  waiting = false;

  constructor(wire: Wire, breathe: () => Promise<void>) {
    this.#wire = wire;
    this.#breathe = breathe;
  }

  /** 7-bit text as it is. */
  text(text: string): void {
    this.#pieces.push(text);
    this.#length += text.length;
  }

  /** The bytes belong to the wire from then on. */
  bytes(bytes: Uint8Array): void {
    this.#pieces.push(bytes);
    this.#length += bytes.length;
  }

  get needsFlush(): boolean {
    return this.#length + this.#unread >= FLUSH_BYTES;
  }

  /** Hands everything over without waiting. */
  handOver(): void {
    const pieces = this.#pieces;
    if (pieces.length === 0) return;
    this.#unread += this.#length;
    this.#sinceBreath += this.#length;
    if (pieces.length > 1 && this.#length <= MERGED_BYTES_MAX) this.#wire.write(merged(pieces, this.#length));
    else for (const piece of pieces) this.#wire.write(piece);
    this.#pieces = [];
    this.#length = 0;
  }

  /** Resolves when the client has read enough for more to be written; rejects with ConnectionLost. */
  async flush(): Promise<void> {
    this.handOver();
    this.waiting = true;
    try {
      await this.#wire.drained();
    } catch {
      throw new ConnectionLost();
    } finally {
      this.waiting = false;
    }
    this.#unread = 0;
    if (this.#sinceBreath < BREATH_BYTES) return;
    this.#sinceBreath = 0;
    await this.#breathe();
  }
}

function merged(pieces: readonly (string | Uint8Array)[], length: number): Uint8Array {
  const bytes = Buffer.allocUnsafe(length);
  let at = 0;
  for (const piece of pieces) {
    if (typeof piece === 'string') bytes.write(piece, at, 'latin1');
    else bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}
