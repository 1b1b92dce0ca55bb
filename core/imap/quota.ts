/** Writing QUOTA responses (RFC 9208 §5.1): one quota root, named '', for all of an account. */

import { Fault } from '../mail/errors.ts';
import type { ImapSession } from './session.ts';

/** RFC 9208 §5.1: STORAGE counts in units of 1,024 octets. */
const UNIT_BYTES = 1024;

export async function writeQuota(session: ImapSession): Promise<void> {
  const state = await session.env.store.account(session.account);
  if (state === undefined) throw new Fault('the session has an account that the store does not know');
  const resources: string[] = [];
  if (state.quotaBytes !== null) {
    const used = Math.ceil(state.usedBytes / UNIT_BYTES);
    resources.push(`STORAGE ${used} ${Math.floor(state.quotaBytes / UNIT_BYTES)}`);
  }
  if (state.quotaMessages !== null) resources.push(`MESSAGE ${state.usedMessages} ${state.quotaMessages}`);
  session.out.untagged(`QUOTA "" (${resources.join(' ')})`);
}
