/**
 * Mailbox names as names of files and folders, and back. Levels of `a/b` become folders; what a file system may not take
 * is percent-encoded, so no name leads out of the folder it is meant for.
 */

import { decodeMutf7, encodeMutf7 } from '../../core/imap/mutf7.ts';

const UNSAFE = /[\u0000-\u001f\u007f%:*?"<>|\\/]|^\.|[. ]$/g;

const encodeLevel = (level: string): string =>
  level === ''
    ? '%'
    : level.replace(UNSAFE, (character) => `%${character.charCodeAt(0).toString(16).padStart(2, '0')}`);

function decodeLevel(level: string): string {
  if (level === '%') return '';
  try {
    return decodeURIComponent(level);
  } catch {
    // Not written by us: the name stands for itself.
    return level;
  }
}

/** `Archive/2026` → `Archive/2026`, `../x` → `%2e%2e/x`-like names without meaning to a file system. */
export const mailboxToPath = (mailbox: string): string => mailbox.split('/').map(encodeLevel).join('/');

export const pathToMailbox = (path: string): string => path.split(/[/\\]/).map(decodeLevel).join('/');

/** Maildir++: `.Archive.2026` for `Archive/2026`, in modified UTF-7 (RFC 3501 §5.1.3), a dot within a name as `&AC4-`. */
export const mailboxToMaildir = (mailbox: string): string =>
  mailbox === 'INBOX'
    ? ''
    : mailbox
        .split('/')
        .map((level) => `.${encodeMutf7(level).replaceAll('.', '&AC4-')}`)
        .join('');

export function maildirToMailbox(folder: string): string {
  if (folder === '') return 'INBOX';
  return folder
    .slice(1)
    .split('.')
    .map((level) => decodeMutf7(Buffer.from(level)) ?? level)
    .join('/');
}
