/**
 * The second thread of a shard, started when first needed: reads what is too much for the main thread, on a read-only
 * connection beside the writer, so that neither deliveries nor sessions wait for it.
 */

import type { AccountId, MailboxId } from '../../core/mail/ids.ts';
import { ShardReader } from './mail-store-reader.ts';
import { inspect } from './mail-store-verify.ts';
import type { WorkerDefinition } from './sqlite-worker.ts';

export const definition: WorkerDefinition = {
  migrations: [],
  readOnly: true,
  open(db) {
    const reader = new ShardReader(db);
    return {
      columns: ({ account, mailbox }: { account: AccountId; mailbox: MailboxId }) =>
        reader.columns(account, mailbox, Number.POSITIVE_INFINITY),
      inspect: ({ name }: { name: string }) => reader.snapshot(() => inspect(db, name, false)),
      /** A consistent copy, also while the writer goes on. */
      backup({ destination }: { destination: string }) {
        db.prepare('VACUUM INTO ?').run(destination);
      },
    };
  },
};
