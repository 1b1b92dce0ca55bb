/**
 * Strict base64 (RFC 4648 §4, RFC 4954 §4): null for anything that the alphabet or the padding does not allow. The
 * empty string is no bytes.
 */
export function decodeBase64(text: string): Uint8Array | null {
  if (text.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(text)) return null;
  return Buffer.from(text, 'base64');
}
