/**
 * Modified UTF-7 of mailbox names (RFC 3501 §5.1.3). Decoding is strict where a name would have no meaning (8-bit
 * bytes, broken base64, half a surrogate pair) and otherwise takes what real clients send.
 */

const AMPERSAND = 0x26;
const MINUS = 0x2d;
/** Base64 value of each byte of the modified alphabet (`,` for `/`), 255 for others. */
const VALUES = new Uint8Array(256).fill(255);
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,';
for (let value = 0; value < 64; value++) VALUES[ALPHABET.charCodeAt(value)] = value;

/** The text, or null where the bytes are not modified UTF-7. */
export function decodeMutf7(bytes: Uint8Array): string | null {
  let result = '';
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at]!;
    if (byte < 0x20 || byte > 0x7e) return null;
    if (byte !== AMPERSAND) {
      result += String.fromCharCode(byte);
      continue;
    }
    const start = ++at;
    let bits = 0;
    let held = 0;
    for (; at < bytes.length && bytes[at] !== MINUS; at++) {
      const value = VALUES[bytes[at]!]!;
      if (value === 255) return null;
      bits = (bits << 6) | value;
      held += 6;
      if (held < 16) continue;
      held -= 16;
      result += String.fromCharCode((bits >>> held) & 0xffff);
      bits &= (1 << held) - 1;
    }
    if (at >= bytes.length) return null;
    if (at === start) result += '&';
    // What is left is padding: less than one base64 digit, all zero.
    else if (held >= 6 || bits !== 0) return null;
  }
  return result.isWellFormed() ? result : null;
}

/** `text` in modified UTF-7; printable ASCII stands for itself. */
export function encodeMutf7(text: string): string {
  let result = '';
  for (let at = 0; at < text.length; ) {
    const code = text.charCodeAt(at);
    if (code >= 0x20 && code <= 0x7e) {
      result += code === AMPERSAND ? '&-' : text[at];
      at++;
      continue;
    }
    const bytes: number[] = [];
    for (; at < text.length; at++) {
      const unit = text.charCodeAt(at);
      if (unit >= 0x20 && unit <= 0x7e) break;
      bytes.push(unit >> 8, unit & 0xff);
    }
    const base64 = Buffer.from(bytes).toString('base64').replaceAll('/', ',');
    result += `&${base64.replaceAll('=', '')}-`;
  }
  return result;
}
