/** Multi-line responses of one short line for each message (LIST, UIDL), written as fast as the client reads them. */

import type { Pop3Session } from './session.ts';

const LINES_AT_ONCE = 1_000;

/** The response behind its first line. `line` is asked for every message that is not marked as deleted. */
export async function writeListing(session: Pop3Session, line: (number: number) => string): Promise<void> {
  const { maildrop, out } = session;
  for (let first = 1; first <= maildrop.last; first += LINES_AT_ONCE) {
    const end = Math.min(maildrop.last + 1, first + LINES_AT_ONCE);
    let text = '';
    for (let n = first; n < end; n++) if (!maildrop.isMarked(n)) text += `${n} ${line(n)}\r\n`;
    out.text(text);
    if (out.needsFlush) await out.flush();
  }
  out.text('.\r\n');
}
