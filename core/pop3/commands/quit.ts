/**
 * QUIT: the only command that deletes. After login it enters the UPDATE state: every marked message goes in one commit,
 * the lock is given back, and only then the client is told.
 */

import { TemporaryError } from '../../mail/errors.ts';
import type { CommandSpec } from '../command.ts';
import type { Pop3Session } from '../session.ts';

export const quit: CommandSpec = {
  name: 'QUIT',
  states: ['authorization', 'transaction'],
  rfc: 'RFC 1939 §4, §6',
  argument: 'none',
  async run(session) {
    session.closing = true;
    try {
      if (session.state === 'transaction') await update(session);
    } finally {
      session.leave();
    }
    session.ok('Bye');
  },
};

/** Messages that are gone already, alone or with their mailbox, are what the client wanted. */
async function update(session: Pop3Session): Promise<void> {
  const { account, mailbox, count, last } = session.maildrop;
  if (count === last) return;
  const uids = session.maildrop.markedUids();
  try {
    await session.env.commit(account, [{ t: 'expunge', mailbox, uids, onlyDeleted: false }], session.wire.session);
  } catch (thrown) {
    throw new TemporaryError('deletionsFailed', { account, error: String(thrown) }, thrown);
  }
  session.log('pop3.deleted', { account, messages: uids.length });
}
