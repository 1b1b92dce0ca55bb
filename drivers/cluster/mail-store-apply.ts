/**
 * Carries out what was committed: brings the effects of log entries into the collections. It may be done by anyone, more
 * than once, late, and by several at a time: an effect loses against a newer state of its document, and only what the
 * account's document holds as committed is ever carried out. When it has resolved, all of it is durable.
 */

import type { AccountId, MailboxId } from '../../core/mail/ids.ts';
import type { Effects, RowState } from './mail-store-log.ts';
import {
  contentRef,
  type MailTables,
  type MessageDoc,
  mailboxRef,
  messageRef,
  SWEEP_EACH_MS,
  type SweepDoc,
  subscriptionRef,
} from './mail-store-schema.ts';
import type { Collection } from './mongo-collection.ts';
import type { BulkOperation, FieldUpdate, Filter, Identified } from './mongo-types.ts';

/** Documents in one request. */
const BULK = 500;
/** Rows that change alike, in one: some servers look at everything for each range. */
const RUN = 2000;

type Guarded = Identified & { readonly modSeq: number };

/** One by one: a list of _ids makes some servers look at every document. */
export async function deleteAll<T extends Identified>(
  collection: Collection<T>,
  ids: readonly string[],
): Promise<void> {
  await bulkAll(
    collection,
    ids.map((_id) => ({ deleteOne: { filter: { _id } as unknown as Filter<T> } })),
  );
}

/** Inserts, or replaces what is older. */
async function putAll<T extends Guarded>(collection: Collection<T>, documents: readonly T[]): Promise<void> {
  for (let at = 0; at < documents.length; at += BULK) {
    const some = documents.slice(at, at + BULK);
    const { duplicates } = await collection.bulk(some.map((document) => ({ insertOne: { document } })));
    await collection.bulk(
      duplicates.map((index) => {
        const { _id, ...fields } = some[index]!;
        return {
          updateOne: {
            filter: { _id, modSeq: { $lt: fields.modSeq } } as unknown as Filter<T>,
            update: { $set: fields } as unknown as FieldUpdate<T>,
          },
        };
      }),
    );
  }
}

/** In requests of a fair size. */
export async function bulkAll<T extends Identified>(
  collection: Collection<T>,
  operations: readonly BulkOperation<T>[],
): Promise<void> {
  for (let at = 0; at < operations.length; at += BULK) await collection.bulk(operations.slice(at, at + BULK));
}

export interface Application {
  readonly account: AccountId;
  readonly key: string;
  /** Milliseconds since 1970. */
  readonly now: number;
  /** Up to here everything was carried out before. */
  readonly applied: number;
}

export async function applyEffects(tables: MailTables, of: Application, effects: Effects): Promise<void> {
  const { account, key, now } = of;
  await Promise.all([
    applyRows(tables, of, effects),
    applyMailboxes(tables, of, effects),
    putAll(
      tables.receipts,
      [...effects.receipts.values()].map(({ value: { id, ...receipt }, modSeq }) => ({ _id: id, ...receipt, modSeq })),
    ),
    putAll(
      tables.subscriptions,
      [...effects.subscriptions].map(([name, { value, modSeq }]) => ({
        ...{ _id: subscriptionRef(key, name), name, on: value, modSeq },
      })),
    ),
    putAll(
      tables.outbox,
      [...effects.outbox.values()].map(({ value: { id, ...item }, modSeq }) => ({
        ...{ _id: id, ...item, account, modSeq, pending: item.topic, at: now },
      })),
    ),
    putAll(
      tables.dying,
      [...effects.dying].map(([number, modSeq]) => ({ _id: contentRef(key, number), account: key, number, modSeq })),
    ),
  ]);
}

async function applyRows(tables: MailTables, { key, applied }: Application, effects: Effects): Promise<void> {
  const fresh: MessageDoc[] = [];
  /** Rows that change alike, by what they become. */
  const alike = new Map<string, { readonly mailbox: string; readonly rows: RowState[] }>();
  for (const [mailbox, rows] of effects.rows) {
    for (const row of rows.values()) {
      if (row.created > applied) {
        const _id = messageRef(key, mailbox, row.uid);
        fresh.push({ _id, account: key, mailbox: mailboxRef(key, mailbox), ...row });
        continue;
      }
      const name = `${mailbox} ${row.modSeq} ${row.content === 0 ? row.date : row.flags.join(' ')}`;
      const group = alike.get(name);
      if (group === undefined) alike.set(name, { mailbox, rows: [row] });
      else group.rows.push(row);
    }
  }
  await putAll(tables.messages, fresh);
  let changes: BulkOperation<MessageDoc>[] = [];
  let count = 0;
  for (const { mailbox, rows } of alike.values()) {
    const { modSeq, flags, date, content } = rows[0]!;
    const update = content === 0 ? { $set: { flags, modSeq, date, size: 0, content: 0 } } : { $set: { flags, modSeq } };
    for (const { first, last } of runs(rows)) {
      if (count + last - first >= RUN) {
        await tables.messages.bulk(changes);
        changes = [];
        count = 0;
      }
      count += last - first + 1;
      const older = { modSeq: { $lt: modSeq } };
      const [from, to] = [messageRef(key, mailbox, first), messageRef(key, mailbox, last)];
      if (first === last) changes.push({ updateOne: { filter: { _id: from, ...older }, update } });
      else changes.push({ updateMany: { filter: { _id: { $gte: from, $lte: to }, ...older }, update } });
    }
  }
  await tables.messages.bulk(changes);
}

/** The uids as runs without a gap, short enough for one update to end in time. */
function* runs(rows: readonly RowState[]): Generator<{ readonly first: number; readonly last: number }> {
  const uids = rows.map(({ uid }) => uid).sort((a, b) => a - b);
  for (let start = 0; start < uids.length; ) {
    let end = start + 1;
    while (end < uids.length && uids[end] === uids[end - 1]! + 1 && end - start < RUN) end++;
    yield { first: uids[start]!, last: uids[end - 1]! };
    start = end;
  }
}

async function applyMailboxes(tables: MailTables, { key, now }: Application, effects: Effects): Promise<void> {
  const puts = [...effects.mailboxes.values()];
  if (puts.length === 0) return;
  await bulkAll(
    tables.mailboxes,
    puts.map(({ value: { recentUid, ...mailbox }, modSeq }) => ({
      updateOne: {
        // Where a newer version is there, the guard does not match and the key is taken: nothing happens.
        filter: { _id: mailboxRef(key, mailbox.id), version: { $lt: modSeq } },
        update: {
          $set: { ...mailbox, account: key, version: modSeq, free: false },
          $max: { recentUid },
          $setOnInsert: { floor: 0 },
        },
        upsert: true,
      },
    })),
  );
  const sweep = (id: MailboxId, update: FieldUpdate<SweepDoc>): BulkOperation<SweepDoc>[] => [
    { updateOne: { filter: { _id: mailboxRef(key, id) }, update, upsert: true } },
  ];
  await bulkAll(
    tables.sweeps,
    puts.flatMap(({ value: { id, name, buried } }) => {
      if (name === null) return sweep(id, { $set: { account: key, due: 0 } });
      if (buried <= tables.tombstonesKept) return [];
      // Not at once, and not anew with each commit.
      return sweep(id, { $setOnInsert: { account: key, due: now + SWEEP_EACH_MS } });
    }),
  );
}
