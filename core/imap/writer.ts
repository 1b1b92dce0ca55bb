/**
 * What a session answers, collected in one buffer until a burst of responses is whole, then given to the wire in one
 * write. The buffer belongs to the wire from then on, so an idle session holds none.
 */

import type { Wire } from '../mail/wire.ts';

const START_BYTES = 1024;
/** A burst over this is handed over in between; `needsFlush` says so. */
const FLUSH_BYTES = 64 * 1024;
/** Longer strings go as literals: clients' line buffers are bounded. */
const QUOTED_BYTES_MAX = 1024;
const NO_BYTES = new Uint8Array(0);
/** Of a 31-bit number. */
const DIGITS_MAX = 10;

export class ImapWriter {
  readonly #wire: Wire;
  /** For hand-written output: call `reserve(n)`, write at `buffer[position]`, then set `position`. */
  buffer: Uint8Array = NO_BYTES;
  position = 0;
  #bulk = false;

  constructor(wire: Wire) {
    this.#wire = wire;
  }

  /** Bytes waiting. */
  get length(): number {
    return this.position;
  }

  get needsFlush(): boolean {
    return this.position >= FLUSH_BYTES;
  }

  /** Makes room for `n` bytes at `position`; `buffer` may be another object afterwards. */
  reserve(n: number): Uint8Array {
    const needed = this.position + n;
    if (needed <= this.buffer.length) return this.buffer;
    const start = this.#bulk ? FLUSH_BYTES + 4096 : START_BYTES;
    const grown = Buffer.allocUnsafe(Math.max(needed, this.buffer.length * 2, start));
    grown.set(this.buffer.subarray(0, this.position));
    this.buffer = grown;
    return grown;
  }

  /** 7-bit text as it is. */
  ascii(text: string): this {
    const buffer = this.reserve(text.length);
    let at = this.position;
    for (let i = 0; i < text.length; i++) buffer[at++] = text.charCodeAt(i);
    this.position = at;
    return this;
  }

  bytes(bytes: Uint8Array): this {
    this.reserve(bytes.length).set(bytes, this.position);
    this.position += bytes.length;
    return this;
  }

  /** A whole number from 0 to 2^53−1. */
  number(value: number): this {
    if (value > 0x7fffffff) return this.ascii(String(value));
    const buffer = this.reserve(DIGITS_MAX);
    let digits = 1;
    for (let power = 10; digits < DIGITS_MAX && value >= power; power *= 10) digits++;
    let at = this.position + digits;
    this.position = at;
    let rest = value;
    do {
      const next = (rest / 10) | 0;
      buffer[--at] = 0x30 + rest - next * 10;
      rest = next;
    } while (rest > 0);
    return this;
  }

  /** Quoted where the grammar and good sense allow, else a literal (RFC 9051 §4.3). Text goes as UTF-8. */
  string(value: string | Uint8Array): this {
    const bytes = typeof value === 'string' ? Buffer.from(value, 'utf8') : value;
    const escapes = quotable(bytes);
    if (escapes < 0) return this.literal(bytes);
    const buffer = this.reserve(bytes.length + escapes + 2);
    let at = this.position;
    buffer[at++] = 0x22;
    for (let i = 0; i < bytes.length; i++) {
      const byte = bytes[i]!;
      if (byte === 0x22 || byte === 0x5c) buffer[at++] = 0x5c;
      buffer[at++] = byte;
    }
    buffer[at++] = 0x22;
    this.position = at;
    return this;
  }

  /** NIL for null. */
  nstring(value: string | Uint8Array | null): this {
    return value === null ? this.ascii('NIL') : this.string(value);
  }

  literal(bytes: Uint8Array): this {
    return this.literalHeader(bytes.length).bytes(bytes);
  }

  /** `{n}` and CRLF: exactly `size` bytes must follow. */
  literalHeader(size: number): this {
    return this.ascii('{').number(size).ascii('}\r\n');
  }

  crlf(): this {
    return this.ascii('\r\n');
  }

  /** A whole untagged response of 7-bit text. */
  untagged(text: string): this {
    return this.ascii('* ').ascii(text).crlf();
  }

  /** Hands what is written to the wire and resolves when more is welcome; rejects when the connection is gone. */
  flush(): Promise<void> {
    this.handOver();
    return this.#wire.drained();
  }

  /** `flush` without waiting. */
  handOver(): void {
    if (this.position === 0) return;
    this.#bulk = this.position >= FLUSH_BYTES;
    this.#wire.write(this.buffer.subarray(0, this.position));
    this.buffer = NO_BYTES;
    this.position = 0;
  }
}

/** How many bytes need a backslash, or −1 where it can't be quoted. */
function quotable(bytes: Uint8Array): number {
  if (bytes.length > QUOTED_BYTES_MAX) return -1;
  let escapes = 0;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]!;
    if (byte < 0x20 || byte > 0x7e) return -1;
    if (byte === 0x22 || byte === 0x5c) escapes++;
  }
  return escapes;
}
