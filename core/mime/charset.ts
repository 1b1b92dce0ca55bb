/**
 * Bytes of a named charset as text. Never throws: an unknown, missing or lying label is answered with what mail of that
 * kind most often is. Labels come from outside and are only looked up, in bounded caches.
 */

import { isUtf8 } from 'node:buffer';
import iconv from 'iconv-lite';
import { asBuffer } from './bytes.ts';

type Decode = (bytes: Uint8Array) => string;

const LABEL_LENGTH_MAX = 64;
const CACHE_ENTRIES_MAX = 256;

const utf8 = new TextDecoder('utf-8');
const windows1252 = new TextDecoder('windows-1252');

/** UTF-8 if it is valid, else windows-1252 (a superset of ISO 8859-1's printable characters). */
export const decodeUnlabelled: Decode = (bytes) => (isUtf8(bytes) ? utf8.decode(bytes) : windows1252.decode(bytes));

/** Labels that say "no 8-bit characters", so that any that are there must be something else. */
const ASCII_LABELS = new Set(['', 'us-ascii', 'ascii', 'ansi_x3.4-1968', 'iso646-us', 'cp367', '7bit', 'unknown-8bit']);

const cache = new Map<string, Decode>();

function makeDecoder(label: string): Decode {
  if (ASCII_LABELS.has(label)) return decodeUnlabelled;
  try {
    const decoder = new TextDecoder(label);
    return (bytes) => decoder.decode(bytes);
  } catch {
    // not a charset of the WHATWG list; iconv-lite has older ones
  }
  const older = label === 'unicode-1-1-utf-7' ? 'utf-7' : label;
  if (older !== 'binary' && older !== 'hex' && older !== 'base64' && iconv.encodingExists(older))
    return (bytes) => iconv.decode(asBuffer(bytes), older);
  return decodeUnlabelled;
}

export function decodeCharset(bytes: Uint8Array, label: string): string {
  const key = label.slice(0, LABEL_LENGTH_MAX).trim().toLowerCase();
  let decode = cache.get(key);
  if (decode === undefined) {
    decode = makeDecoder(key);
    if (cache.size < CACHE_ENTRIES_MAX) cache.set(key, decode);
  }
  return decode(bytes);
}
