/** EXPUNGE and UID EXPUNGE: takes messages with \Deleted out for good and tells so before the tagged answer. */

import { ClientError } from '../mail/errors.ts';
import type { Completion } from './command.ts';
import type { ImapSession } from './session.ts';

/** @param uids ascending; null for every message */
export async function expungeDeleted(session: ImapSession, uids: Uint32Array | null): Promise<number> {
  const { view } = session;
  const { results } = await session.commit([{ t: 'expunge', mailbox: view.mailbox.id, uids, onlyDeleted: true }]);
  const result = results[0]!;
  if (!result.ok) throw new ClientError('mailboxUnknown', { why: result.why });
  return result.t === 'expunge' ? result.uids.length : 0;
}

export async function runExpunge(session: ImapSession, uids: Uint32Array | null): Promise<Completion> {
  const { view, enabled } = session;
  if (view.readOnly) throw new ClientError('readOnly');
  if (uids?.length === 0 || (await expungeDeleted(session, uids)) === 0) return {};
  await view.poll({ expunge: true });
  // RFC 7162 §3.2.7
  return enabled.qresync ? { code: view.highestModSeqCode() } : {};
}
