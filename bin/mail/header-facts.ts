/** What mail programs write into the header of messages that they keep in files: flags, and when it arrived. */

import { parseDate } from '../../core/mime/date.ts';
import type { HeaderPeek } from './message-stream.ts';

const LETTERS: readonly (readonly [field: string, letter: string, flag: string])[] = [
  ['status', 'R', '\\Seen'],
  ['x-status', 'A', '\\Answered'],
  ['x-status', 'F', '\\Flagged'],
  ['x-status', 'T', '\\Draft'],
  ['x-status', 'D', '\\Deleted'],
];
const MOZILLA_BITS: readonly (readonly [bit: number, flag: string])[] = [
  [0x0001, '\\Seen'],
  [0x0002, '\\Answered'],
  [0x0004, '\\Flagged'],
  [0x0008, '\\Deleted'],
  [0x1000, '$Forwarded'],
];

export function headerFlags(header: HeaderPeek): string[] {
  const flags = LETTERS.filter(([field, letter]) => header.field(field).includes(letter)).map(([, , flag]) => flag);
  const mozilla = header.field('x-mozilla-status');
  if (/^[0-9a-f]{4}$/i.test(mozilla)) {
    const bits = Number.parseInt(mozilla, 16);
    for (const [bit, flag] of MOZILLA_BITS) if ((bits & bit) !== 0) flags.push(flag);
  }
  return [...new Set(flags)];
}

/** Seconds since 1970: when the topmost server took it (RFC 5321 §4.4: behind the last semicolon), else when it was sent. */
export function headerDate(header: HeaderPeek): number | null {
  const received = header.field('received');
  return parseDate(received.slice(received.lastIndexOf(';') + 1)) ?? parseDate(header.field('date'));
}
