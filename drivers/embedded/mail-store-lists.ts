/** Reads across accounts of one shard: the outbox and which blobs are referred to. */

import type { AccountId, BlobRef } from '../../core/mail/ids.ts';
import { modSeq } from '../../core/mail/ids.ts';
import type { OutboxEntry, OutboxTopic } from '../../core/ports/mail-store.ts';
import type { ShardReader } from './mail-store-reader.ts';

interface OutboxRow {
  readonly id: number;
  readonly account: string;
  readonly key: string;
  readonly payload: string;
  readonly mod_seq: number;
  readonly at: number;
}

/** Oldest first. An entry's id is its row's number, spread over the shards so that it is unique. */
export function readOutbox(
  reader: ShardReader,
  topic: OutboxTopic,
  limit: number,
  shard: { readonly index: number; readonly of: number },
): { readonly at: number; readonly entry: OutboxEntry }[] {
  const rows = reader
    .objects(
      `SELECT o.id, a.id AS account, o.key, o.payload, o.mod_seq, o.at FROM outbox o JOIN accounts a ON a.key = o.account
       WHERE o.topic = ? AND a.id IS NOT NULL ORDER BY o.id LIMIT ?`,
    )
    .all(topic, limit) as unknown as OutboxRow[];
  return rows.map((row) => ({
    at: row.at,
    entry: {
      id: row.id * shard.of + shard.index,
      account: row.account as AccountId,
      topic,
      key: row.key,
      payload: JSON.parse(row.payload) as unknown,
      modSeq: modSeq(row.mod_seq),
    },
  }));
}

export function readLiveBlobs(reader: ShardReader, refs: readonly BlobRef[]): BlobRef[] {
  const linked = reader.arrays('SELECT 1 FROM content_blobs WHERE blob = ? LIMIT 1');
  return refs.filter((ref) => linked.get(Buffer.from(ref, 'hex')) !== undefined);
}
