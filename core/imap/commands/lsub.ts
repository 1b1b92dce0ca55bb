/**
 * LSUB: subscribed names. With `%` a level that is not subscribed but has subscribed names below is shown as \Noselect
 * (RFC 3501 §6.3.9), which here says nothing about the mailbox.
 */

import { type CommandSpec, LOGGED_IN } from '../command.ts';
import { checkWork, listMatcher } from '../list-match.ts';
import { DELIMITER, parents } from '../mailbox-name.ts';

export const lsub: CommandSpec<string> = {
  name: 'LSUB',
  states: LOGGED_IN,
  rfc: 'RFC 3501 §6.3.9',
  parse(parser) {
    parser.space();
    const reference = parser.mailboxName();
    parser.space();
    return reference + parser.listMailbox();
  },
  async run(session, pattern) {
    const names = await session.env.store.subscriptions(session.account);
    checkWork([pattern], names);
    const matches = listMatcher(pattern);
    const shown = new Map<string, string>();
    for (const name of names) {
      if (matches(name)) shown.set(name, '');
      else if (pattern.endsWith('%')) {
        for (const parent of parents(name)) if (matches(parent) && !shown.has(parent)) shown.set(parent, '\\Noselect');
      }
    }
    for (const [name, attribute] of shown) {
      session.out.ascii(`* LSUB (${attribute}) "${DELIMITER}" `);
      session.writeMailboxName(name);
      session.out.crlf();
      if (session.out.needsFlush) await session.input.flush();
    }
    return {};
  },
};
