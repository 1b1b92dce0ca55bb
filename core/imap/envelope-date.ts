/** The Date field's text out of a stored ENVELOPE, whose first string it is (RFC 9051 §7.5.2). */

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** '' where there is none. */
export function envelopeDate(envelope: Uint8Array): string {
  let text = '';
  if (envelope[1] !== QUOTE) return text;
  for (let at = 2; at < envelope.length && envelope[at] !== QUOTE; at++) {
    if (envelope[at] === BACKSLASH) at++;
    text += String.fromCharCode(envelope[at]!);
  }
  return text;
}
