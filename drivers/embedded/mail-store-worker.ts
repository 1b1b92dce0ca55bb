/**
 * The writer of one shard: what runs in its worker thread. Every handler is one savepoint of a group commit (see
 * sqlite-worker.ts): it throws, and has changed nothing, or its effect is committed with the group.
 */

import type { DatabaseSync } from 'node:sqlite';
import { ClientError } from '../../core/mail/errors.ts';
import type { AccountId } from '../../core/mail/ids.ts';
import type { Lease, LeaseHolder, MailStore, OutboxTopic } from '../../core/ports/mail-store.ts';
import { Commit, nextUidValidity } from './mail-store-commit.ts';
import { Collector } from './mail-store-gc.ts';
import { MIGRATIONS } from './mail-store-schema.ts';
import { commitStatements, writing } from './mail-store-statements.ts';
import { inspect } from './mail-store-verify.ts';
import type { SentCommit } from './mail-store-wire.ts';
import type { Handler, WorkerDefinition } from './sqlite-worker.ts';

type NewAccount = Parameters<MailStore['createAccount']>[0] & { readonly now: number };
interface LeaseArgs {
  readonly account: AccountId;
  readonly owner: string;
  readonly ttlMs: number;
  readonly gone: string | undefined;
  readonly now: number;
}

function accountHandlers(db: DatabaseSync): Record<string, Handler> {
  const find = db.prepare('SELECT key, epoch, owner, until FROM accounts WHERE id = ?');
  const add = writing(
    db,
    `INSERT INTO accounts (id, mod_seq, floor, used_bytes, used_messages, quota_bytes, quota_messages, uid_validity,
       last_content, epoch, owner, until) VALUES (?1, 1, 0, 0, 0, ?2, ?3, ?4, 0, 0, NULL, 0)`,
  );
  const addMailbox = commitStatements(db).addMailbox;
  const setQuota = writing(db, 'UPDATE accounts SET quota_bytes = ?2, quota_messages = ?3 WHERE id = ?1');
  const forget = writing(db, 'UPDATE accounts SET id = NULL WHERE id = ?');
  const setLease = writing(db, 'UPDATE accounts SET epoch = ?2, owner = ?3, until = ?4 WHERE key = ?1');
  const release = writing(db, 'UPDATE accounts SET owner = NULL, until = 0 WHERE id = ?1 AND owner = ?2');
  /** Leased since the store was opened. One process has the data folder, so whoever held another lease has ended. */
  const leased = new Set<number>();
  return {
    createAccount({ account, quotaBytes, quotaMessages, mailboxes, now }: NewAccount) {
      if (find.get(account) !== undefined) return;
      let uidValidity = nextUidValidity(0, now) - 1;
      const key = add.run(account, quotaBytes, quotaMessages, uidValidity + mailboxes.length).lastInsertRowid;
      for (const { id, name, role } of mailboxes) addMailbox.run(key, id, name, role, ++uidValidity, 1);
    },
    setQuota(args: { account: AccountId; quotaBytes: number | null; quotaMessages: number | null }) {
      if (Number(setQuota.run(args.account, args.quotaBytes, args.quotaMessages).changes) === 0)
        throw new ClientError('notFound');
    },
    deleteAccount({ account }: { account: AccountId }) {
      forget.run(account);
    },
    lease(args: LeaseArgs): Lease | undefined {
      const row = find.get(args.account) as
        | { key: number; epoch: number; owner: string | null; until: number }
        | undefined;
      if (row === undefined) throw new ClientError('notFound');
      const own = row.owner === args.owner;
      const free = own || row.owner === null || row.owner === args.gone || row.until <= args.now;
      if (!free && leased.has(row.key)) return undefined;
      leased.add(row.key);
      const lease = { epoch: own ? row.epoch : row.epoch + 1, until: args.now + args.ttlMs };
      setLease.run(row.key, lease.epoch, args.owner, lease.until);
      return lease;
    },
    holder({ account, now }: { account: AccountId; now: number }): LeaseHolder | undefined {
      const row = find.get(account) as { key: number; owner: string | null; until: number } | undefined;
      if (row === undefined || row.owner === null || row.until <= now || !leased.has(row.key)) return undefined;
      return { owner: row.owner, leftMs: row.until - now };
    },
    release({ account, owner }: { account: AccountId; owner: string }) {
      release.run(account, owner);
    },
  };
}

export const definition: WorkerDefinition = {
  migrations: MIGRATIONS,
  open(db) {
    const statements = commitStatements(db);
    const collector = new Collector(db);
    const outboxDone = writing(db, 'DELETE FROM outbox WHERE id = ?1 AND topic = ?2');
    return {
      ...accountHandlers(db),
      commit: (sent: SentCommit) => new Commit(statements, sent).run(sent.ops),
      outboxDone({ topic, ids }: { topic: OutboxTopic; ids: readonly number[] }) {
        for (const id of ids) outboxDone.run(id, topic);
      },
      gc: ({ now, budgetMs }: { now: number; budgetMs: number }) => collector.run(now, budgetMs),
      /** True when there is more of deleted accounts to purge. */
      purge: () => collector.purge(),
      repair: ({ name }: { name: string }) => inspect(db, name, true),
    };
  },
};
