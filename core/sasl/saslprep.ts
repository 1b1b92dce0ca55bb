/**
 * SASLprep (RFC 4013): the one spelling of a name or password that was typed on different keyboards. Printable ASCII
 * is unchanged, so nothing is ever trimmed. What the profile prohibits is left as it was typed, not refused: a server
 * that took such a password once must go on knowing it.
 */

/** RFC 3454 C.1.2: other spaces become a plain one. */
const SPACES = /[\u00a0\u1680\u2000-\u200b\u202f\u205f\u3000]/gu;
/** RFC 3454 B.1: commonly mapped to nothing. U+200B is in C.1.2 too, and RFC 4013 §2.1 maps that first. */
const NOTHING = /\u00ad|\u034f|\u1806|[\u180b-\u180d]|\u200c|\u200d|\u2060|[\ufe00-\ufe0f]|\ufeff/gu;
/** RFC 4013 §2.3, without the two tone marks that NFKC has replaced: controls, private use, non-characters, surrogates, and characters that change what is shown. */
const PROHIBITED =
  /[\u0000-\u001f\u007f-\u009f\u06dd\u070f\u180e\u2028\u2029\u2061-\u2063\u206a-\u206f\ufff9-\uffff\u{1d173}-\u{1d17a}\p{Co}\p{Cs}\u{fdd0}-\u{fdef}\u200e\u200f\u202a-\u202e\u2ff0-\u2ffb\u{e0001}\u{e0020}-\u{e007f}]/u;

export function saslPrep(text: string): string {
  if (/^[\x20-\x7e]*$/.test(text)) return text;
  const prepared = text.replace(SPACES, ' ').replace(NOTHING, '').normalize('NFKC');
  return prepared === '' || PROHIBITED.test(prepared) ? text : prepared;
}
