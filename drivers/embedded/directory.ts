/**
 * The directory on SQLite. Reads are synchronous point look-ups on the reader connection behind a small cache; every
 * write drops the cache once it is committed, so a look-up that begins after a write has resolved sees it.
 */

import { mkdir, open } from 'node:fs/promises';
import { join } from 'node:path';
import type { StatementSync } from 'node:sqlite';
import type { AccountId } from '../../core/mail/ids.ts';
import type { Damage } from '../../core/ports/blob-store.ts';
import type {
  Alias,
  ApiKey,
  ApiScope,
  Credential,
  Directory,
  DirectoryAccount,
  Domain,
  SpamPreferences,
} from '../../core/ports/directory.ts';
import type { OnceState } from './directory-worker.ts';
import { SqliteWriter } from './sqlite-writer.ts';

const FILE = 'directory.db';
/** Entries of one cache; more and it starts anew: names come from the network, so they must not pile up. */
const CACHE_MAX = 20_000;

interface AccountRow {
  readonly id: string;
  readonly address: string;
  readonly enabled: number;
  readonly quota_bytes: number | null;
  readonly quota_messages: number | null;
  readonly created_at: number;
  readonly rev: number;
  readonly spam: string;
}
interface KeyRow {
  readonly id: string;
  readonly name: string;
  readonly scope: string;
  readonly hash: string;
  readonly created_at: number;
  readonly revoked: number;
}

const ACCOUNT = 'id, address, enabled, quota_bytes, quota_messages, created_at, rev, spam';
/** Sorts behind nothing and before every address. */
const START = '';

const toAccount = (row: AccountRow): DirectoryAccount =>
  Object.freeze({
    id: row.id as AccountId,
    address: row.address,
    enabled: row.enabled === 1,
    quotaBytes: row.quota_bytes,
    quotaMessages: row.quota_messages,
    createdAt: row.created_at,
    rev: row.rev,
    spam: JSON.parse(row.spam) as SpamPreferences,
  });
const toDomain = (row: { name: string; catch_all: string | null; created_at: number }): Domain =>
  Object.freeze({ name: row.name, catchAll: row.catch_all as AccountId | null, createdAt: row.created_at });
const toKey = (row: KeyRow): ApiKey => ({
  id: row.id,
  name: row.name,
  scope: row.scope as ApiScope,
  hash: row.hash,
  createdAt: row.created_at,
  revoked: row.revoked === 1,
});

/** Look-ups by one text key; what was not found is remembered too. */
class Lookup<T> {
  readonly #find: (key: string) => T;
  readonly #known = new Map<string, T>();

  constructor(find: (key: string) => T) {
    this.#find = find;
  }

  get(key: string): T {
    const known = this.#known.get(key);
    if (known !== undefined || this.#known.has(key)) return known as T;
    const found = this.#find(key);
    if (this.#known.size >= CACHE_MAX) this.#known.clear();
    this.#known.set(key, found);
    return found;
  }

  drop(): void {
    this.#known.clear();
  }
}

export class EmbeddedDirectory implements Directory {
  readonly #folder: string;
  readonly #writer: SqliteWriter;
  readonly #statements = new Map<string, StatementSync>();

  readonly #domain = new Lookup((name) => {
    const row = this.#one<Parameters<typeof toDomain>[0]>('SELECT * FROM domain WHERE name = ?', name);
    return row && toDomain(row);
  });
  readonly #account = new Lookup((id) => {
    const row = this.#one<AccountRow>(`SELECT ${ACCOUNT} FROM account WHERE id = ?`, id);
    return row && toAccount(row);
  });
  readonly #accountByAddress = new Lookup((address) => {
    const row = this.#one<AccountRow>(`SELECT ${ACCOUNT} FROM account WHERE address = ?`, address);
    return row && toAccount(row);
  });
  readonly #targets = new Lookup((address): readonly AccountId[] =>
    Object.freeze(
      this.#all<{ account: string }>('SELECT account FROM target WHERE address = ? ORDER BY n', address).map(
        ({ account }) => account as AccountId,
      ),
    ),
  );
  readonly #credential = new Lookup((id) => {
    const row = this.#one<{ credential: string }>('SELECT credential FROM account WHERE id = ?', id);
    return row && (JSON.parse(row.credential) as Credential);
  });
  readonly #key = new Lookup((hash) => {
    const row = this.#one<KeyRow>('SELECT * FROM api_key WHERE hash = ?', hash);
    return row && toKey(row);
  });
  readonly #lookups = [
    ...[this.#domain, this.#account, this.#accountByAddress],
    ...[this.#targets, this.#credential, this.#key],
  ];

  /** @param options.folder where directory.db is; made when it is not there */
  constructor(options: { readonly folder: string; readonly now: () => number }) {
    this.#folder = options.folder;
    this.#writer = new SqliteWriter(join(options.folder, FILE), new URL('./directory-worker.ts', import.meta.url));
  }

  async open(): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    await this.#writer.open();
  }

  async close(): Promise<void> {
    await this.#writer.close();
    this.#statements.clear();
  }

  async domain(name: string): Promise<Domain | undefined> {
    return this.#domain.get(name);
  }
  async domains(): Promise<readonly Domain[]> {
    return this.#all<Parameters<typeof toDomain>[0]>('SELECT * FROM domain ORDER BY name').map(toDomain);
  }
  addDomain(domain: Domain): Promise<void> {
    return this.#write('addDomain', domain);
  }
  setCatchAll(name: string, account: AccountId | null): Promise<boolean> {
    return this.#write('setCatchAll', { name, account });
  }
  removeDomain(name: string): Promise<boolean> {
    return this.#write('removeDomain', { name });
  }

  async account(id: AccountId): Promise<DirectoryAccount | undefined> {
    return this.#account.get(id);
  }
  async accountByAddress(address: string): Promise<DirectoryAccount | undefined> {
    return this.#accountByAddress.get(address);
  }
  async resolve(address: string): Promise<readonly AccountId[]> {
    return this.#targets.get(address);
  }
  async accounts(cursor: string | null, limit: number): Promise<readonly DirectoryAccount[]> {
    const sql = `SELECT ${ACCOUNT} FROM account WHERE address > ? ORDER BY address LIMIT ?`;
    return this.#all<AccountRow>(sql, cursor ?? START, limit).map(toAccount);
  }
  async countAccounts(): Promise<number> {
    return this.#one<{ n: number }>('SELECT count(*) AS n FROM account')!.n;
  }
  addAccount(account: DirectoryAccount, credential: Credential): Promise<void> {
    return this.#write('addAccount', { account, credential });
  }
  updateAccount(account: DirectoryAccount): Promise<boolean> {
    return this.#write('updateAccount', account);
  }
  removeAccount(id: AccountId): Promise<boolean> {
    return this.#write('removeAccount', { id });
  }
  async credential(id: AccountId): Promise<Credential | undefined> {
    return this.#credential.get(id);
  }
  setCredential(id: AccountId, credential: Credential): Promise<boolean> {
    return this.#write('setCredential', { id, credential });
  }

  async aliases(cursor: string | null, limit: number): Promise<readonly Alias[]> {
    const rows = this.#all<{ address: string; created_at: number }>(
      "SELECT address, created_at FROM address WHERE kind = 'alias' AND address > ? ORDER BY address LIMIT ?",
      cursor ?? START,
      limit,
    );
    return rows.map((row) => this.#toAlias(row));
  }
  async alias(address: string): Promise<Alias | undefined> {
    const sql = "SELECT address, created_at FROM address WHERE address = ? AND kind = 'alias'";
    const row = this.#one<{ address: string; created_at: number }>(sql, address);
    return row && this.#toAlias(row);
  }
  async addressesOf(id: AccountId): Promise<readonly string[]> {
    const sql = `SELECT address FROM target JOIN address USING (address) WHERE account = ?
      GROUP BY address ORDER BY kind = 'alias', address`;
    return this.#all<{ address: string }>(sql, id).map(({ address }) => address);
  }
  addAlias(alias: Alias): Promise<void> {
    return this.#write('addAlias', alias);
  }
  setAliasAccounts(address: string, accounts: readonly AccountId[]): Promise<boolean> {
    return this.#write('setAliasAccounts', { address, accounts });
  }
  removeAlias(address: string): Promise<boolean> {
    return this.#write('removeAlias', { address });
  }

  async apiKeys(): Promise<readonly ApiKey[]> {
    return this.#all<KeyRow>('SELECT * FROM api_key ORDER BY created_at, id').map(toKey);
  }
  async apiKeyByHash(hash: string): Promise<ApiKey | undefined> {
    return this.#key.get(hash);
  }
  addApiKey(key: ApiKey): Promise<void> {
    return this.#write('addApiKey', key);
  }
  revokeApiKey(id: string): Promise<boolean> {
    return this.#write('revokeApiKey', { id });
  }

  async once(key: string, request: string, now: number): Promise<unknown | null | undefined> {
    const once = await this.#writer.call<OnceState>('once', { key, request, now });
    if (once.state === 'done') return JSON.parse(once.answer);
    return once.state === 'busy' ? null : undefined;
  }
  finishOnce(key: string, answer: unknown): Promise<void> {
    return this.#writer.call('finishOnce', { key, answer: answer === undefined ? null : JSON.stringify(answer) });
  }

  verify(): Promise<readonly Damage[]> {
    return this.#writer.integrity();
  }

  async backup(destination: string): Promise<void> {
    await mkdir(destination, { recursive: true, mode: 0o700 });
    const file = join(destination, FILE);
    await this.#writer.call('backup', { file }, 'scan');
    // SQLite leaves the copy in the page cache: a backup that is reported as made survives power loss.
    for (const path of [file, destination]) {
      const handle = await open(path, 'r');
      await handle.sync();
      await handle.close();
    }
  }

  async #write<T>(name: string, args: unknown): Promise<T> {
    try {
      return await this.#writer.call<T>(name, args);
    } finally {
      // Also after a failure: whether a commit that failed late took effect is only known to the database.
      for (const lookup of this.#lookups) lookup.drop();
    }
  }

  #toAlias(row: { address: string; created_at: number }): Alias {
    return { address: row.address, accounts: this.#targets.get(row.address), createdAt: row.created_at };
  }

  #statement(sql: string): StatementSync {
    const known = this.#statements.get(sql);
    if (known !== undefined) return known;
    const statement = this.#writer.reader.prepare(sql);
    this.#statements.set(sql, statement);
    return statement;
  }

  #one<T>(sql: string, ...args: (string | number)[]): T | undefined {
    return this.#statement(sql).get(...args) as T | undefined;
  }

  #all<T>(sql: string, ...args: (string | number)[]): T[] {
    return this.#statement(sql).all(...args) as T[];
  }
}
