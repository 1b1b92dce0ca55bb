/**
 * Which messages of an account have one of some contents. The collection alone can't tell, because a MOVE that is carried
 * out while it is read may hide a message in both places: its row is a tombstone already, and the place of the new one
 * was passed before it was there. So a picture is taken before and after. Where the later one's log reaches back to the
 * earlier one, every commit since the earlier one was carried out is in one of both logs, and what was read with these
 * laid over it is the account at the later picture exactly; otherwise it is read again.
 */

import type { AccountId } from '../../core/mail/ids.ts';
import type { RowState } from './mail-store-log.ts';
import { layRows, type Picture, READS, ROW_FIELDS, readPicture, unsteady } from './mail-store-picture.ts';
import { byContent, type MailTables, type MessageDoc, mailboxOf } from './mail-store-schema.ts';

interface Uses {
  readonly picture: Picture;
  /** Messages by mailbox, uid ascending. */
  readonly rows: ReadonlyMap<string, readonly RowState[]>;
}

type Found = Pick<MessageDoc, 'mailbox' | (typeof ROW_FIELDS)[number]>;

/**
 * @param contents gives their numbers; asked again where the account has changed meanwhile
 * @param most how many messages suffice
 * @returns undefined where there is no such account
 */
export async function readUses(
  tables: MailTables,
  account: AccountId,
  contents: (key: string) => Promise<Iterable<number>>,
  most?: number,
): Promise<Uses | undefined> {
  let before = await readPicture(tables, account);
  for (let read = 0; read < READS; read++) {
    if (before === undefined) return undefined;
    const { key, modSeq } = before.doc;
    const numbers = new Set(await contents(key));
    if (numbers.size === 0) return { picture: before, rows: new Map() };
    const docs: Found[] = await tables.messages.find({
      filter: { account: key, content: { $in: [...numbers] } },
      shard: byContent(key),
      fields: ['mailbox', ...ROW_FIELDS],
      // Those that the log takes away are not counted.
      ...(most === undefined ? {} : { limit: most + rowsIn(before) }),
    });
    const picture = await readPicture(tables, account);
    if (picture !== undefined && picture.doc.key === key && picture.doc.applied <= modSeq) {
      if (picture.doc.modSeq > modSeq) for (const number of await contents(key)) numbers.add(number);
      return { picture, rows: layAll(docs, [before, picture], numbers) };
    }
    before = picture;
  }
  throw unsteady(account);
}

const rowsIn = ({ effects }: Picture): number => [...effects.rows.values()].reduce((sum, rows) => sum + rows.size, 0);

function layAll(
  docs: readonly Found[],
  pictures: readonly [Picture, Picture],
  contents: ReadonlySet<number>,
): Map<string, RowState[]> {
  const { key } = pictures[0].doc;
  const stored = new Map<string, Found[]>();
  for (const doc of docs) {
    const mailbox = mailboxOf(key, doc.mailbox);
    const rows = stored.get(mailbox);
    if (rows === undefined) stored.set(mailbox, [doc]);
    else rows.push(doc);
  }
  const mailboxes = new Set([...stored.keys(), ...pictures.flatMap(({ effects }) => [...effects.rows.keys()])]);
  const lay = (id: string): RowState[] =>
    layRows(
      stored.get(id) ?? [],
      pictures.map(({ effects }) => effects.rows.get(id)),
      (row) => contents.has(row.content),
    );
  return new Map([...mailboxes].map((id) => [id, lay(id)]));
}
