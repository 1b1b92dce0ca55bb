/**
 * The directory's writing side. Each handler runs in a savepoint of the group's transaction: one that throws changes
 * nothing. Addresses are one name space: an account's and an alias's never collide, because both claim a row of `address`.
 */

import type { DatabaseSync } from 'node:sqlite';
import { ClientError } from '../../core/mail/errors.ts';
import type { Alias, ApiKey, Credential, DirectoryAccount, Domain } from '../../core/ports/directory.ts';
import type { WorkerDefinition } from './sqlite-worker.ts';

/** How long the answer to an idempotency key is remembered. */
const ONCE_MS = 24 * 3_600_000;

export type OnceState = { readonly state: 'new' | 'busy' } | { readonly state: 'done'; readonly answer: string };

const SCHEMA = `
  CREATE TABLE domain (
    name TEXT PRIMARY KEY, catch_all TEXT, created_at INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE account (
    id TEXT PRIMARY KEY, address TEXT NOT NULL UNIQUE, enabled INTEGER NOT NULL, quota_bytes INTEGER,
    quota_messages INTEGER, created_at INTEGER NOT NULL, rev INTEGER NOT NULL, spam TEXT NOT NULL, credential TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE address (
    address TEXT PRIMARY KEY, domain TEXT NOT NULL, kind TEXT NOT NULL, created_at INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX address_domain ON address (domain);
  CREATE TABLE target (
    address TEXT NOT NULL REFERENCES address (address) ON DELETE CASCADE, n INTEGER NOT NULL, account TEXT NOT NULL,
    PRIMARY KEY (address, n)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX target_account ON target (account);
  CREATE TABLE api_key (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, scope TEXT NOT NULL, hash TEXT NOT NULL UNIQUE, created_at INTEGER NOT NULL,
    revoked INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE once (
    key TEXT PRIMARY KEY, request TEXT NOT NULL, answer TEXT, at INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX once_at ON once (at);
`;

const domainOf = (address: string): string => address.slice(address.lastIndexOf('@') + 1);

function open(db: DatabaseSync) {
  // A request that a crash interrupted has no one left to finish it: the next one with its key starts anew.
  db.exec('DELETE FROM once WHERE answer IS NULL');

  const p = (sql: string) => db.prepare(sql);
  const domainThere = p('SELECT 1 FROM domain WHERE name = ?');
  const insertDomain = p('INSERT INTO domain (name, catch_all, created_at) VALUES (?, ?, ?)');
  const updateCatchAll = p('UPDATE domain SET catch_all = ? WHERE name = ?');
  const clearCatchAll = p('UPDATE domain SET catch_all = NULL WHERE catch_all = ?');
  const deleteDomain = p('DELETE FROM domain WHERE name = ?');
  const domainUsed = p('SELECT 1 FROM address WHERE domain = ? LIMIT 1');
  const addressThere = p('SELECT 1 FROM address WHERE address = ?');
  const insertAddress = p('INSERT INTO address (address, domain, kind, created_at) VALUES (?, ?, ?, ?)');
  const deleteAddress = p('DELETE FROM address WHERE address = ? AND kind = ?');
  const aliasThere = p("SELECT 1 FROM address WHERE address = ? AND kind = 'alias'");
  const insertTarget = p('INSERT INTO target (address, n, account) VALUES (?, ?, ?)');
  const deleteTargets = p('DELETE FROM target WHERE address = ?');
  const deleteTargetsTo = p('DELETE FROM target WHERE account = ?');
  const deleteEmptyAliases = p(
    "DELETE FROM address WHERE kind = 'alias' AND NOT EXISTS (SELECT 1 FROM target WHERE target.address = address.address)",
  );
  const accountThere = p('SELECT address, rev FROM account WHERE id = ?');
  const insertAccount = p('INSERT INTO account VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)');
  const updateAccount = p(`UPDATE account SET address = ?, enabled = ?, quota_bytes = ?, quota_messages = ?, spam = ?,
    rev = rev + 1 WHERE id = ? AND rev = ?`);
  const deleteAccount = p('DELETE FROM account WHERE id = ?');
  const updateCredential = p('UPDATE account SET credential = ? WHERE id = ?');
  const insertKey = p('INSERT INTO api_key (id, name, scope, hash, created_at, revoked) VALUES (?, ?, ?, ?, ?, ?)');
  const keyThere = p('SELECT 1 FROM api_key WHERE id = ? OR hash = ?');
  const revokeKey = p('UPDATE api_key SET revoked = 1 WHERE id = ? AND revoked = 0');
  const forgetOnce = p('DELETE FROM once WHERE at <= ?');
  const findOnce = p('SELECT request, answer FROM once WHERE key = ?');
  const insertOnce = p('INSERT INTO once (key, request, answer, at) VALUES (?, ?, NULL, ?)');
  const finishOnce = p('UPDATE once SET answer = ? WHERE key = ?');
  const freeOnce = p('DELETE FROM once WHERE key = ?');

  function claimAddress(address: string, kind: 'account' | 'alias', createdAt: number, accounts: readonly string[]) {
    if (addressThere.get(address) !== undefined) throw new ClientError('mailboxExists', { address });
    insertAddress.run(address, domainOf(address), kind, createdAt);
    accounts.forEach((account, n) => void insertTarget.run(address, n, account));
  }

  return {
    addDomain({ name, catchAll, createdAt }: Domain): void {
      if (domainThere.get(name) !== undefined) throw new ClientError('mailboxExists', { domain: name });
      insertDomain.run(name, catchAll, createdAt);
    },
    setCatchAll: ({ name, account }: { name: string; account: string | null }): boolean =>
      updateCatchAll.run(account, name).changes === 1,
    removeDomain({ name }: { name: string }): boolean {
      if (domainThere.get(name) === undefined) return false;
      if (domainUsed.get(name) !== undefined) throw new ClientError('conflict', { domain: name });
      deleteDomain.run(name);
      return true;
    },

    addAccount({ account, credential }: { account: DirectoryAccount; credential: Credential }): void {
      const { id, address, enabled, quotaBytes, quotaMessages, createdAt, rev, spam } = account;
      if (accountThere.get(id) !== undefined) throw new ClientError('mailboxExists', { account: id });
      claimAddress(address, 'account', createdAt, [id]);
      insertAccount.run(
        ...[id, address, enabled ? 1 : 0, quotaBytes, quotaMessages, createdAt, rev],
        ...[JSON.stringify(spam), JSON.stringify(credential)],
      );
    },
    updateAccount(account: DirectoryAccount): boolean {
      const { id, address, enabled, quotaBytes, quotaMessages, createdAt, rev, spam } = account;
      const before = accountThere.get(id) as { address: string; rev: number } | undefined;
      if (before === undefined || before.rev !== rev) return false;
      if (before.address !== address) {
        deleteAddress.run(before.address, 'account');
        claimAddress(address, 'account', createdAt, [id]);
      }
      const args = [address, enabled ? 1 : 0, quotaBytes, quotaMessages, JSON.stringify(spam), id, rev];
      return updateAccount.run(...args).changes === 1;
    },
    /** Aliases that led only to it go too; others and catch-alls lose it. */
    removeAccount({ id }: { id: string }): boolean {
      const row = accountThere.get(id) as { address: string } | undefined;
      if (row === undefined) return false;
      deleteAccount.run(id);
      deleteAddress.run(row.address, 'account');
      deleteTargetsTo.run(id);
      deleteEmptyAliases.run();
      clearCatchAll.run(id);
      return true;
    },
    setCredential: ({ id, credential }: { id: string; credential: Credential }): boolean =>
      updateCredential.run(JSON.stringify(credential), id).changes === 1,

    addAlias({ address, accounts, createdAt }: Alias): void {
      claimAddress(address, 'alias', createdAt, accounts);
    },
    setAliasAccounts({ address, accounts }: Pick<Alias, 'address' | 'accounts'>): boolean {
      if (aliasThere.get(address) === undefined) return false;
      deleteTargets.run(address);
      accounts.forEach((account, n) => void insertTarget.run(address, n, account));
      return true;
    },
    removeAlias: ({ address }: { address: string }): boolean => deleteAddress.run(address, 'alias').changes === 1,

    addApiKey({ id, name, scope, hash, createdAt, revoked }: ApiKey): void {
      if (keyThere.get(id, hash) !== undefined) throw new ClientError('conflict', { key: id });
      insertKey.run(id, name, scope, hash, createdAt, revoked ? 1 : 0);
    },
    revokeApiKey: ({ id }: { id: string }): boolean => revokeKey.run(id).changes === 1,

    once({ key, request, now }: { key: string; request: string; now: number }): OnceState {
      forgetOnce.run(now - ONCE_MS);
      const row = findOnce.get(key) as { request: string; answer: string | null } | undefined;
      if (row === undefined) {
        insertOnce.run(key, request, now);
        return { state: 'new' };
      }
      if (row.request !== request) throw new ClientError('conflict', { key });
      return row.answer === null ? { state: 'busy' } : { state: 'done', answer: row.answer };
    },
    finishOnce({ key, answer }: { key: string; answer: string | null }): void {
      if (answer === null) freeOnce.run(key);
      else finishOnce.run(answer, key);
    },

    /** Runs outside of any transaction (`scan`). */
    backup({ file }: { file: string }): void {
      db.prepare('VACUUM INTO ?').run(file);
    },
  };
}

export const definition: WorkerDefinition = { migrations: [SCHEMA], open };
