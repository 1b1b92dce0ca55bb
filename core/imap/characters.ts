/** The character classes of IMAP's grammar (RFC 9051 §9) as one table for all sessions. */

const ATOM = 1;
const ASTRING = 2;
const PATTERN = 4;
const DIGIT = 8;

const CLASSES = new Uint8Array(256);
for (let byte = 0x21; byte < 0x7f; byte++) {
  const char = String.fromCharCode(byte);
  let classes = 0;
  // atom-specials = "(" / ")" / "{" / SP / CTL / list-wildcards / quoted-specials / resp-specials
  if (!'(){%*"\\]'.includes(char)) classes |= ATOM;
  if (!'(){%*"\\'.includes(char)) classes |= ASTRING;
  if (!'(){"\\'.includes(char)) classes |= PATTERN;
  if (byte >= 0x30 && byte <= 0x39) classes |= DIGIT;
  CLASSES[byte] = classes;
}

/** ATOM-CHAR */
export const isAtomByte = (byte: number): boolean => (CLASSES[byte]! & ATOM) !== 0;
/** ASTRING-CHAR = ATOM-CHAR / resp-specials */
export const isAstringByte = (byte: number): boolean => (CLASSES[byte]! & ASTRING) !== 0;
/** list-char = ATOM-CHAR / list-wildcards / resp-specials */
export const isPatternByte = (byte: number): boolean => (CLASSES[byte]! & PATTERN) !== 0;
export const isDigit = (byte: number): boolean => (CLASSES[byte]! & DIGIT) !== 0;
