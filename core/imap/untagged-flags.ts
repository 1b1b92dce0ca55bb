/** FLAGS and PERMANENTFLAGS (RFC 3501 §7.2.6, §7.1): the system flags and the keywords in use. */

import { SYSTEM_FLAGS } from '../mail/flags.ts';
import type { ImapWriter } from './writer.ts';

export function writeFlagLists(out: ImapWriter, keywords: readonly string[], readOnly: boolean): void {
  const names = [...SYSTEM_FLAGS, ...keywords].join(' ');
  out.untagged(`FLAGS (${names})`);
  // RFC 3501 §7.1: an empty list where nothing can be changed; \* where new keywords can be made.
  out.untagged(
    readOnly ? 'OK [PERMANENTFLAGS ()] Read-only mailbox' : `OK [PERMANENTFLAGS (${names} \\*)] Flags permitted`,
  );
}
