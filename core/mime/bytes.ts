/** Small helpers on bytes and on text that holds one byte per character (latin-1). */

/** The same memory as a Buffer, for its search and text methods. */
export const asBuffer = (bytes: Uint8Array): Buffer =>
  bytes instanceof Buffer ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);

/** Bytes [start, end) as a string of one character each. */
export const latin1 = (bytes: Uint8Array, start = 0, end = bytes.length): string =>
  asBuffer(bytes).toString('latin1', start, end);

export const isWhite = (byte: number | undefined): boolean => byte === 32 || byte === 9;

/** Without blanks and tabs at both ends (and nothing else: `trim` would take latin-1's 0xA0, half of a UTF-8 letter). */
export function trimWhite(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isWhite(text.charCodeAt(start))) start++;
  while (end > start && isWhite(text.charCodeAt(end - 1))) end--;
  return start === 0 && end === text.length ? text : text.slice(start, end);
}

/** The value of a hexadecimal digit, or −1. */
export function hexDigit(code: number | undefined): number {
  if (code === undefined) return -1;
  if (code >= 48 && code <= 57) return code - 48;
  if (code >= 65 && code <= 70) return code - 55;
  if (code >= 97 && code <= 102) return code - 87;
  return -1;
}
