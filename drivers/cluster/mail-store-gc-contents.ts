/**
 * Deletes contents whose last message is gone, beside an owner that may be about to refer to one and beside other
 * collectors. First they are marked, so that no commit begins to refer to them; then the account's document is changed,
 * so that commits which began before fail at their point and look again; what is without a message after that stays so
 * and is deleted. A mark bears the name of who made it: only under one's own mark one deletes, so that whoever takes a
 * mark away, or puts another in its place, keeps the content.
 */

import { randomBytes } from 'node:crypto';
import type { AccountId } from '../../core/mail/ids.ts';
import { bulkAll } from './mail-store-apply.ts';
import { accountOf, type ContentDoc, contentRef, type DyingDoc, type MailTables } from './mail-store-schema.ts';
import { readUses } from './mail-store-uses.ts';
import type { BulkOperation, Filter } from './mongo-types.ts';

const NAMED = 500;

/**
 * @param dying those of one account
 * @param changed hears that the account's document was changed
 */
export async function collectContents(
  tables: MailTables,
  key: string,
  dying: readonly DyingDoc[],
  changed: (account: AccountId) => void,
): Promise<void> {
  const account = accountOf(key);
  const unused = await unusedOf(tables, key, dying);
  // A collector that ended in between may have left its mark on one that got a message again.
  await mark(tables, without(dying, unused), { $ne: false }, false);
  if (unused.length > 0) {
    const name = randomBytes(9).toString('base64url');
    await mark(tables, unused, undefined, name);
    await tables.accounts.updateOne({ _id: account, key }, { $inc: { rev: 1 } });
    changed(account);
    const gone = await unusedOf(tables, key, unused);
    await mark(tables, without(unused, gone), name, false);
    await bulkAll(
      tables.contents,
      gone.map(({ number }) => ({ deleteOne: { filter: { _id: contentRef(key, number), dying: name } } })),
    );
  }
  // Another collector's, which may not come to its end.
  const marked = await markedOf(tables, dying);
  // One that was expunged again meanwhile has a higher modSeq, and stays.
  await bulkAll(
    tables.dying,
    dying.filter(({ _id }) => !marked.has(_id)).map(({ _id, modSeq }) => ({ deleteOne: { filter: { _id, modSeq } } })),
  );
}

function without<T>(all: readonly T[], some: readonly T[]): T[] {
  const out = new Set(some);
  return all.filter((one) => !out.has(one));
}

async function mark(
  tables: MailTables,
  list: readonly DyingDoc[],
  before: Filter<ContentDoc>['dying'],
  dying: string | false,
): Promise<void> {
  await bulkAll(
    tables.contents,
    list.map(({ account, number }): BulkOperation<ContentDoc> => {
      const _id = contentRef(account, number);
      const filter = before === undefined ? { _id } : { _id, dying: before };
      return { updateOne: { filter, update: { $set: { dying } } } };
    }),
  );
}

async function markedOf(tables: MailTables, list: readonly DyingDoc[]): Promise<Set<string>> {
  const marked = new Set<string>();
  for (let at = 0; at < list.length; at += NAMED) {
    const _id = { $in: list.slice(at, at + NAMED).map((one) => contentRef(one.account, one.number)) };
    for (const doc of await tables.contents.find({ filter: { _id, dying: { $ne: false } }, fields: [] }))
      marked.add(doc._id);
  }
  return marked;
}

/** Those that no message of the account refers to; none where it was deleted, since what it has left is purged with it. */
async function unusedOf(tables: MailTables, key: string, dying: readonly DyingDoc[]): Promise<DyingDoc[]> {
  const unused: DyingDoc[] = [];
  for (let at = 0; at < dying.length; at += NAMED) {
    const some = dying.slice(at, at + NAMED);
    const uses = await readUses(tables, accountOf(key), async () => some.map(({ number }) => number));
    if (uses?.picture.doc.key !== key) return [];
    const used = new Set([...uses.rows.values()].flatMap((rows) => rows.map(({ content }) => content)));
    unused.push(...some.filter(({ number }) => !used.has(number)));
  }
  return unused;
}
