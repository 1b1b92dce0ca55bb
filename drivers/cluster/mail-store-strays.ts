/**
 * Contents of commits that never came to their point. A commit takes the lowest numbers above the account's last one that
 * nothing has, and hands those that stood in its way to the collector; so every number up to the last one was used or
 * handed over, and whatever lies above belongs to a commit under way or to none.
 */

import { contentRef, type MailTables, under } from './mail-store-schema.ts';

const SCANNED = 5000;

/** Numbers of the contents above this one, ascending. */
export async function strayNumbers(tables: MailTables, key: string, last: number): Promise<number[]> {
  const numbers: number[] = [];
  const { $lt } = under(key);
  for (let $gt = contentRef(key, last); ; ) {
    const docs = await tables.contents.find({
      ...{ filter: { _id: { $gt, $lt } }, sort: { _id: 1 }, limit: SCANNED, fields: ['number'] },
    });
    numbers.push(...docs.map(({ number }) => number));
    if (docs.length < SCANNED) return numbers;
    $gt = docs.at(-1)!._id;
  }
}
