/** STATUS: counters of one mailbox without selecting it. */

import { type CommandSpec, LOGGED_IN } from '../command.ts';
import { findMailbox } from '../find-mailbox.ts';
import { parseStatusItems, type StatusItem, writeStatus } from '../status-items.ts';

export const status: CommandSpec<{ readonly name: string; readonly items: readonly StatusItem[] }> = {
  name: 'STATUS',
  states: LOGGED_IN,
  rfc: 'RFC 9051 §6.3.11',
  parse(parser) {
    parser.space();
    const name = parser.mailboxName();
    parser.space();
    return { name, items: parseStatusItems(parser) };
  },
  async run(session, { name, items }) {
    const mailbox = await findMailbox(session, name);
    // RFC 7162 §3.1.7: asking for it is a CONDSTORE enabling command.
    if (items.includes('HIGHESTMODSEQ')) session.enableCondstore();
    await writeStatus(session, mailbox, items);
    return {};
  },
};
