/** Looks for bare CR and LF in text that comes in chunks of a told length (BDAT), across their borders. */

/** A CR that no LF follows, or an LF that no CR precedes; each chunk is looked at behind the last byte before it. */
const BARE = /\r[^\n]|(?<!\r)\n/;

export class ChunkCheck {
  #last = '';
  #bare = false;

  get bareLineEnd(): boolean {
    return this.#bare;
  }

  /** The text so far ends in a CR: bare if nothing follows. */
  get endsInCr(): boolean {
    return this.#last === '\r';
  }

  take(bytes: Buffer): void {
    if (this.#bare || bytes.length === 0) return;
    const text = this.#last + bytes.toString('latin1');
    this.#bare = BARE.test(text);
    this.#last = text.endsWith('\r') ? '\r' : '';
  }
}
