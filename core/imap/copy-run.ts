/**
 * COPY and MOVE (RFC 9051 §6.4.7, §6.4.8): one commit, so that all of it is done or nothing. Messages that others have
 * expunged make it NO when they were named by number (RFC 2180 §4.4.1) and are ignored when named by uid.
 */

import { ClientError } from '../mail/errors.ts';
import type { OpResult } from '../ports/mail-store.ts';
import type { Completion } from './command.ts';
import { findMailbox } from './find-mailbox.ts';
import { countMessages } from './message-set.ts';
import type { ArgParser, SequenceSet } from './parser.ts';
import { formatSequenceSet } from './sequence-set.ts';
import type { ImapSession } from './session.ts';

export interface CopyArgs {
  readonly set: SequenceSet;
  readonly mailbox: string;
}

type Copied = Extract<OpResult, { t: 'copy' | 'move' }>;

export function parseCopy(parser: ArgParser): CopyArgs {
  parser.space();
  const set = parser.sequenceSet();
  parser.space();
  return { set, mailbox: parser.mailboxName() };
}

/** null where no message was there to be copied. */
async function transfer(
  session: ImapSession,
  t: 'copy' | 'move',
  args: CopyArgs,
  byUid: boolean,
): Promise<Copied | null> {
  const { view } = session;
  const ranges = view.resolve(args.set, byUid);
  const to = await findMailbox(session, args.mailbox, 'tryCreate');
  // What others have expunged meanwhile must be known before it is decided.
  await view.columns.refresh();
  const uids = view.liveUids(ranges);
  if (!byUid && uids.length < countMessages(ranges)) throw new ClientError('expungeIssued');
  if (uids.length === 0) return null;
  const { results } = await session.commit([{ t, from: view.mailbox.id, uids, to: to.id }]);
  const result = results[0]!;
  if (!result.ok) {
    throw new ClientError(
      result.why === 'quota' ? 'overQuota' : result.why === 'uidsExhausted' ? 'limitReached' : 'tryCreate',
    );
  }
  return result as Copied;
}

/** RFC 4315 §3; undefined where nothing was copied, since a set can't be empty. */
const copyUid = (copied: Copied | null): string | undefined =>
  copied === null || copied.from.length === 0
    ? undefined
    : `COPYUID ${copied.uidValidity} ${formatSequenceSet(copied.from)} ${formatSequenceSet(copied.to)}`;

export async function runCopy(session: ImapSession, args: CopyArgs, byUid: boolean): Promise<Completion> {
  const code = copyUid(await transfer(session, 'copy', args, byUid));
  return code === undefined ? {} : { code };
}

export async function runMove(session: ImapSession, args: CopyArgs, byUid: boolean): Promise<Completion> {
  const { view, out, enabled } = session;
  if (view.readOnly) throw new ClientError('readOnly');
  const code = copyUid(await transfer(session, 'move', args, byUid));
  if (code === undefined) return {};
  // RFC 6851 §4.3: clients want to know the new uids before the messages go.
  out.untagged(`OK [${code}] Moved`);
  await view.poll({ expunge: true });
  // RFC 6851 §4.4
  return enabled.qresync ? { code: view.highestModSeqCode() } : {};
}
