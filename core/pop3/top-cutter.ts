/** Cuts a message that streams by behind its header, the blank line and the first lines of its body (RFC 1939 §7, TOP). */

const LF = 10;
const CR = 13;

export class TopCutter {
  /** Nothing more is wanted. */
  done = false;
  #inHeader = true;
  /** Octets of the current header line in earlier chunks, and its first one. */
  #octets = 0;
  #first = 0;
  #left: number;

  constructor(bodyLines: number) {
    this.#left = bodyLines;
  }

  /** What is wanted of the next bytes. */
  take(bytes: Buffer): Buffer {
    for (let at = 0; at < bytes.length; ) {
      const lf = bytes.indexOf(LF, at);
      if (this.#inHeader) this.#count(bytes, at, lf < 0 ? bytes.length : lf);
      if (lf < 0) break;
      at = lf + 1;
      if (!this.#inHeader) this.#left--;
      else this.#inHeader = this.#octets > 1 || (this.#octets === 1 && this.#first !== CR);
      this.#octets = 0;
      if (!this.#inHeader && this.#left <= 0) {
        this.done = true;
        return bytes.subarray(0, at);
      }
    }
    return bytes;
  }

  #count(bytes: Buffer, from: number, to: number): void {
    if (to > from && this.#octets === 0) this.#first = bytes[from]!;
    this.#octets += to - from;
  }
}
