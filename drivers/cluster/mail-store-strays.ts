/**
 * Contents of commits that never came to their point. A commit takes the lowest numbers above the account's last one that
 * nothing has, and hands those that stood in its way to the collector; so every number up to the last one was used or
 * handed over, and whatever lies above belongs to a commit under way or to none. Only an owner that does not know yet that
 * it was deposed may store one below, under a number that was collected since; it hands that over when it learns of it,
 * and should it end between, `verify` finds it.
 */

import { randomBytes } from 'node:crypto';
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

/**
 * For the collector to find out whether they have a message: it may be told of any. Each time in documents of their own,
 * since the collector may be just about to do away with others of the same contents.
 */
export async function handOver(tables: MailTables, key: string, numbers: Iterable<number>): Promise<void> {
  const documents = [...numbers].map((number) => ({
    ...{ _id: `${contentRef(key, number)}.${randomBytes(6).toString('base64url')}`, account: key, number, modSeq: 0 },
  }));
  if (documents.length > 0) await tables.dying.insertMany(documents);
}
