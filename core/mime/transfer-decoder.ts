/**
 * Takes a Content-Transfer-Encoding off while the body streams by; together the pieces are what `decodeTransfer` gives
 * for the whole. Holds back at most one line or one group of characters.
 */

import { asBuffer, isWhite, latin1 } from './bytes.ts';
import { decodeTransfer } from './transfer.ts';

const LF = 10;
const CR = 13;
const EQUALS = 61;
/** A longer quoted-printable line is cut anywhere but within `=XX`. */
const LINE_BYTES_MAX = 64 * 1024;
const NOTHING = new Uint8Array();
const NOISE = /[^A-Za-z0-9+/=]+/g;

export class TransferDecoder {
  readonly #encoding: 'base64' | 'quoted-printable' | 'none';
  #rest = '';
  #line: Uint8Array = NOTHING;

  constructor(encoding: string) {
    const lower = encoding.toLowerCase();
    this.#encoding = lower === 'base64' || lower === 'quoted-printable' ? lower : 'none';
  }

  push(bytes: Uint8Array): Uint8Array {
    if (this.#encoding === 'base64') return this.#base64(this.#rest + latin1(bytes).replace(NOISE, ''), false);
    if (this.#encoding === 'none') return bytes;
    const buffer = this.#line.length === 0 ? asBuffer(bytes) : Buffer.concat([this.#line, bytes]);
    let cut = buffer.lastIndexOf(LF) + 1;
    if (buffer.length - cut > LINE_BYTES_MAX) {
      cut = buffer.length - 3;
      while (
        cut > 0 &&
        (buffer[cut - 1] === EQUALS || buffer[cut - 2] === EQUALS || isWhite(buffer[cut - 1]) || buffer[cut - 1] === CR)
      )
        cut--;
    }
    this.#line = Buffer.from(buffer.subarray(cut));
    return decodeTransfer(buffer.subarray(0, cut), 'quoted-printable');
  }

  end(): Uint8Array {
    if (this.#encoding === 'base64') return this.#base64(this.#rest, true);
    const line = this.#line;
    this.#line = NOTHING;
    return this.#encoding === 'none' ? NOTHING : decodeTransfer(line, 'quoted-printable');
  }

  /** #rest holds less than one group of four, without padding. */
  #base64(text: string, final: boolean): Uint8Array {
    const groupsStart = text.lastIndexOf('=') + 1;
    const cut = final ? text.length : groupsStart + Math.floor((text.length - groupsStart) / 4) * 4;
    this.#rest = text.slice(cut);
    return decodeTransfer(Buffer.from(text.slice(0, cut), 'latin1'), 'base64');
  }
}
