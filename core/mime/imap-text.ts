/**
 * IMAP strings of latin-1 text (one character per byte), RFC 9051 §4.3: quoted where the grammar allows it, a literal
 * where there are 8-bit bytes or line ends. NUL can stand in neither and is dropped.
 */

/** What must not stand in a quoted string as it is. */
const SPECIAL = /[^\x01-\x09\x0b\x0c\x0e-\x21\x23-\x5b\x5d-\x7f]/;
const NOT_QUOTABLE = /[\r\n\x80-\xff]/;

/** `string` */
export function imapString(text: string): string {
  if (!SPECIAL.test(text)) return `"${text}"`;
  const clean = text.includes('\0') ? text.replaceAll('\0', '') : text;
  if (NOT_QUOTABLE.test(clean)) return `{${clean.length}}\r\n${clean}`;
  return `"${clean.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
}

/** `nstring` */
export const imapNstring = (text: string | null): string => (text === null ? 'NIL' : imapString(text));
