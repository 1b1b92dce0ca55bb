/** Reads across accounts: their list, the outbox, and which blobs are referred to. */

import { type AccountId, accountId, type BlobRef, modSeq } from '../../core/mail/ids.ts';
import type { MailStoreStats, OutboxEntry, OutboxTopic } from '../../core/ports/mail-store.ts';
import type { MailTables } from './mail-store-schema.ts';
import { SUM_MS_MAX } from './slow-sums.ts';

const BLOBS = 500;
const CONTENTS = 5000;

export async function readAccounts(
  tables: MailTables,
  cursor: AccountId | null,
  limit: number,
): Promise<readonly AccountId[]> {
  const filter = cursor === null ? {} : { _id: { $gt: cursor } };
  const docs = await tables.accounts.find({ filter, sort: { _id: 1 }, limit, fields: [] });
  return docs.map(({ _id }) => accountId(_id));
}

/** Oldest first. */
export async function readOutbox(
  tables: MailTables,
  topic: OutboxTopic,
  limit: number,
): Promise<readonly OutboxEntry[]> {
  const docs = await tables.outbox.find({ filter: { pending: topic }, sort: { number: 1 }, limit });
  return docs.map(({ number, account, key, payload, modSeq: at }) => ({
    ...{ id: number, account: accountId(account), topic, key },
    ...{ payload: JSON.parse(payload) as unknown, modSeq: modSeq(at) },
  }));
}

/** They are remembered for a while, so that a late hand does not bring them back. */
export async function outboxDone(
  tables: MailTables,
  topic: OutboxTopic,
  entries: readonly OutboxEntry[],
): Promise<void> {
  await tables.outbox.bulk(
    entries.map(({ id, account, modSeq: at }) => ({
      updateOne: {
        filter: { pending: topic, number: id, account, modSeq: at },
        update: { $set: { pending: '' as const } },
      },
    })),
  );
}

/** Which of these blobs any content refers to. */
export async function readLiveBlobs(tables: MailTables, refs: readonly BlobRef[]): Promise<ReadonlySet<BlobRef>> {
  const live = new Set<BlobRef>();
  for (let left = [...new Set(refs)]; left.length > 0; ) {
    const asked = left.slice(0, BLOBS);
    const filter = { blobs: { $in: asked } };
    const docs = await tables.contents.find({ filter, limit: CONTENTS, fields: ['blobs'] });
    const found = new Set(docs.flatMap(({ blobs }) => blobs));
    for (const ref of asked) if (found.has(ref)) live.add(ref);
    // A cut answer says nothing of those that are not in it.
    const told = docs.length < CONTENTS ? new Set<string>(asked) : found;
    left = left.filter((ref) => !told.has(ref));
  }
  return live;
}

export async function sumAccounts(tables: MailTables): Promise<Omit<MailStoreStats, 'stored'>> {
  const [sums] = await tables.accounts.group<{ _id: null; accounts: number; messages: number }>(
    { filter: {}, by: null, sums: { accounts: 1, messages: '$usedMessages' } },
    SUM_MS_MAX,
  );
  return { accounts: sums?.accounts ?? 0, messages: sums?.messages ?? 0 };
}
