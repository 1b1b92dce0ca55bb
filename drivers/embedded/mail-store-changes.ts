/**
 * What changed behind a modSeq. An answer holds whole modSeqs only, so that a reader who goes on from `upTo` misses
 * nothing; it is cut where the limit is passed, except that one modSeq is never cut in two.
 */

import { type AccountId, type MailboxId, type ModSeq, mailboxId, modSeq, uid } from '../../core/mail/ids.ts';
import type { Changes, Row } from '../../core/ports/mail-store.ts';
import type { MailboxRow, ShardReader } from './mail-store-reader.ts';
import { LOW } from './mail-store-schema.ts';

type Vanished = Changes['vanished'][number];

const CHANGED = `SELECT id & ${LOW}, flags, mod_seq, created, date, size, content & ${LOW} FROM messages
  WHERE mailbox = ?1 AND content IS NOT NULL AND mod_seq > ?2 AND mod_seq <= ?3 ORDER BY mod_seq, id LIMIT ?4`;
const VANISHED = `SELECT id & ${LOW}, mod_seq FROM messages
  WHERE mailbox = ?1 AND content IS NULL AND mod_seq > ?2 AND mod_seq <= ?3 ORDER BY mod_seq, id LIMIT ?4`;
const NO_LIMIT = -1;

interface Entries {
  changed: Row[];
  vanished: Vanished[];
}

/** Entries of the mailboxes with after < modSeq ≤ upTo, at most `limit` of each kind and mailbox, added to `into`. */
function gather(
  reader: ShardReader,
  mailboxes: readonly MailboxRow[],
  after: number,
  upTo: number,
  limit: number,
  into: Entries,
): void {
  for (const mailbox of mailboxes) {
    if (mailbox.mod_seq <= after) continue;
    const id = mailboxId(mailbox.id);
    for (const values of reader.arrays(CHANGED).all(mailbox.key, after, upTo, limit) as unknown as number[][])
      into.changed.push(reader.toRow(id, values));
    for (const [number, at] of reader.arrays(VANISHED).all(mailbox.key, after, upTo, limit) as unknown as number[][])
      into.vanished.push({ mailbox: id, uid: uid(number!), modSeq: modSeq(at!) });
  }
}

/** Where to cut: at the highest modSeq up to which at most `limit` entries lie; at the first one when that alone has more. */
function cutAt(entries: Entries, limit: number): { readonly cut: number; readonly oneOnly: boolean } {
  const modSeqs = [...entries.changed, ...entries.vanished].map((entry): number => entry.modSeq).sort((a, b) => a - b);
  const beyond = modSeqs[limit]!;
  const oneOnly = beyond === modSeqs[0];
  return { cut: oneOnly ? beyond : beyond - 1, oneOnly };
}

export function readChanges(
  reader: ShardReader,
  account: AccountId,
  mailbox: MailboxId | null,
  since: ModSeq,
  limit: number,
): Changes {
  const owner = reader.accountRow(account);
  if (owner === undefined) return { upTo: since, more: false, changed: [], vanished: [], tooOld: false };
  const mailboxes = reader.changedMailboxes(owner.key, mailbox, since);
  const floor = mailbox === null ? owner.floor : (mailboxes[0]?.floor ?? 0);
  const tooOld = since < floor;
  const entries: Entries = { changed: [], vanished: [] };
  // Of many mailboxes, windows of modSeqs are read that double while they hold little: about `limit` rows in all.
  let after: number = since;
  for (let width = mailboxes.length > 1 ? limit : owner.mod_seq; after < owner.mod_seq; width *= 2) {
    const to = Math.min(owner.mod_seq, after + width);
    gather(reader, mailboxes, after, to, limit + 1, entries);
    after = to;
    if (entries.changed.length + entries.vanished.length > limit) {
      const { cut, oneOnly } = cutAt(entries, limit);
      if (oneOnly) {
        const whole: Entries = { changed: [], vanished: [] };
        gather(reader, mailboxes, since, cut, NO_LIMIT, whole);
        return { upTo: modSeq(cut), more: cut < owner.mod_seq, ...whole, tooOld };
      }
      return {
        upTo: modSeq(cut),
        more: cut < owner.mod_seq,
        changed: entries.changed.filter((row) => row.modSeq <= cut),
        vanished: entries.vanished.filter((one) => one.modSeq <= cut),
        tooOld,
      };
    }
  }
  return { upTo: modSeq(owner.mod_seq), more: false, ...entries, tooOld };
}
