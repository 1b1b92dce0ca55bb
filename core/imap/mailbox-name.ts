/**
 * Mailbox names: inside they are UTF-8 in NFC with `/` between levels and the inbox as `INBOX`; on the wire modified
 * UTF-7 (RFC 3501 §5.1.3), or UTF-8 once the client has enabled it (RFC 6855 §3).
 */

import { isUtf8 } from 'node:buffer';
import { ClientError } from '../mail/errors.ts';
import { decodeMutf7, encodeMutf7 } from './mutf7.ts';

export const DELIMITER = '/';
/** Of the whole name in UTF-8. */
const NAME_BYTES_MAX = 1000;

const utf8 = (bytes: Uint8Array): string | null =>
  isUtf8(bytes) ? Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8') : null;

/** RFC 9051 §5.1: INBOX in any case is the inbox; here also as the first level, so that no second tree looks like it. */
function canonical(name: string): string {
  const normal = name.normalize('NFC');
  const rest = normal.slice(5);
  return normal.slice(0, 5).toUpperCase() === 'INBOX' && (rest === '' || rest.startsWith(DELIMITER))
    ? `INBOX${rest}`
    : normal;
}

/** A name as a client sent it; NO [CANNOT] where it is not in the encoding agreed on. */
export function decodeMailboxName(bytes: Uint8Array, utf8Enabled: boolean): string {
  const name = utf8Enabled ? utf8(bytes) : decodeMutf7(bytes);
  if (name === null) throw new ClientError('mailboxName');
  return canonical(name);
}

/** A LIST pattern, which may begin with `inbox` in any case. One that can't be decoded is taken as it is: it matches nothing. */
export function decodePattern(bytes: Uint8Array, utf8Enabled: boolean): string {
  const pattern = utf8Enabled ? utf8(bytes) : decodeMutf7(bytes);
  return canonical(pattern ?? Buffer.from(bytes).toString('latin1'));
}

/** The name as it is shown to the client, before quoting. */
export const encodeMailboxName = (name: string, utf8Enabled: boolean): string =>
  utf8Enabled ? name : encodeMutf7(name);

/** NO [CANNOT] for a name that no mailbox or subscription may have. */
export function checkMailboxName(name: string): void {
  if (Buffer.byteLength(name) > NAME_BYTES_MAX) throw new ClientError('mailboxName');
  // RFC 5198 §2 and RFC 9051 §5.1: no control characters, no line or paragraph separators.
  if (/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/.test(name)) throw new ClientError('mailboxName');
  for (const level of name.split(DELIMITER)) if (level.trim() === '') throw new ClientError('mailboxName');
}

/** Names above it, outermost first: `a/b/c` gives `a` and `a/b`. */
export function parents(name: string): string[] {
  const result: string[] = [];
  for (let at = name.indexOf(DELIMITER); at >= 0; at = name.indexOf(DELIMITER, at + 1)) result.push(name.slice(0, at));
  return result;
}

/** RFC 9051 §5.1 wants wildcards kept out of names: they could never be listed alone. */
export const hasWildcard = (name: string): boolean => name.includes('*') || name.includes('%');
