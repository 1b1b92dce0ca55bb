/**
 * The directory in MongoDB, shared by all nodes. Every change has one write that decides it; what a crash leaves around
 * that write is either invisible or finished by the next one to meet it.
 *
 * Domains and what addresses lead to are remembered for up to a second: a change made through another node is then like
 * one that came a second later, which no promise of a look-up rules out. Not remembered: what is not there (a new account
 * would be refused), credentials and keys (a changed one must be right at once), and accounts (updates compare their rev).
 */

import { randomBytes } from 'node:crypto';
import { ClientError, TemporaryError } from '../../core/mail/errors.ts';
import type { AccountId } from '../../core/mail/ids.ts';
import type { Damage } from '../../core/ports/blob-store.ts';
import type { Alias, ApiKey, Credential, Directory, DirectoryAccount, Domain } from '../../core/ports/directory.ts';
import { DirectoryAddresses } from './directory-addresses.ts';
import { DirectoryCache } from './directory-cache.ts';
import { copyDirectory } from './directory-copy.ts';
import {
  ACCOUNT_FIELDS,
  createIndexes,
  type Tables,
  tablesOf,
  toAccount,
  toAlias,
  toDomain,
  toKey,
} from './directory-documents.ts';
import { DirectoryOnce } from './directory-once.ts';
import { verifyDirectory } from './directory-verify.ts';
import type { Mongo } from './mongo.ts';

const ATTEMPTS_MAX = 20;

export class ClusterDirectory implements Directory {
  readonly #tables: Tables;
  readonly #addresses: DirectoryAddresses;
  readonly #once: DirectoryOnce;
  readonly #archive: (folder: string) => Directory;
  readonly #domain: DirectoryCache<Domain | undefined>;
  readonly #targets: DirectoryCache<readonly AccountId[]>;

  /**
   * @param options.archive makes the directory in a folder, not yet open, that a backup is written to
   * @param options.node the same name whenever this node starts: requests that its end has cut off may then be made again
   *   at once, else two minutes later
   */
  constructor(options: {
    readonly mongo: Mongo;
    readonly now: () => number;
    readonly archive: (folder: string) => Directory;
    readonly node?: string;
  }) {
    const { mongo, now, archive, node = randomBytes(8).toString('hex') } = options;
    this.#tables = tablesOf(mongo);
    this.#addresses = new DirectoryAddresses(this.#tables);
    this.#once = new DirectoryOnce(mongo, node);
    this.#archive = archive;
    this.#domain = new DirectoryCache(
      async (name) => {
        const found = await this.#tables.domains.findOne({ _id: name });
        return found && toDomain(found);
      },
      (found) => found !== undefined,
      now,
    );
    this.#targets = new DirectoryCache(
      (address) => this.#targetsOf(address),
      (found) => found.length > 0,
      now,
    );
  }

  async open(): Promise<void> {
    await createIndexes(this.#tables);
    await this.#once.open();
    for (const { _id } of await this.#tables.removals.find({ filter: {}, limit: 1000 })) await this.#remove(_id);
  }

  async close(): Promise<void> {
    this.#drop();
  }

  domain(name: string): Promise<Domain | undefined> {
    return this.#domain.get(name);
  }
  async domains(): Promise<readonly Domain[]> {
    return (await this.#tables.domains.find({ filter: {}, sort: { _id: 1 } })).map(toDomain);
  }
  async addDomain({ name, catchAll, createdAt }: Domain): Promise<void> {
    if (!(await this.#tables.domains.insertOne({ _id: name, catchAll, createdAt, rev: 1 })))
      throw new ClientError('mailboxExists', { domain: name });
  }
  setCatchAll(name: string, account: AccountId | null): Promise<boolean> {
    return this.#write(async () => {
      return (await this.#tables.domains.updateOne({ _id: name }, { $set: { catchAll: account } })).matched === 1;
    });
  }
  /** See `claim` for how a removal and an address that is added meanwhile find out about each other. */
  removeDomain(name: string): Promise<boolean> {
    return this.#write(async () => {
      const { domains } = this.#tables;
      for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
        const found = await domains.findOne({ _id: name }, { fields: ['rev'] });
        if (found === undefined) return false;
        if (!(await this.#addresses.isEmpty(name))) throw new ClientError('conflict', { domain: name });
        if (await domains.deleteOne({ _id: name, rev: found.rev })) return true;
      }
      throw new TemporaryError('storeUnavailable', { detail: 'contended domain' });
    });
  }

  async account(id: AccountId): Promise<DirectoryAccount | undefined> {
    const found = await this.#tables.accounts.findOne({ _id: id }, { fields: ACCOUNT_FIELDS });
    return found === undefined || found.removing ? undefined : toAccount(found);
  }
  async accountByAddress(address: string): Promise<DirectoryAccount | undefined> {
    // What the account itself says is checked, so what is remembered may be old.
    for (const find of [() => this.#targets.get(address), () => this.#targetsOf(address)]) {
      const [id, ...others] = await find();
      if (id === undefined || others.length > 0) continue;
      const account = await this.account(id);
      if (account?.address === address) return account;
    }
    return undefined;
  }
  resolve(address: string): Promise<readonly AccountId[]> {
    return this.#targets.get(address);
  }
  /** Accounts are found by their addresses, which make them visible. */
  async accounts(cursor: string | null, limit: number): Promise<readonly DirectoryAccount[]> {
    const { accounts, addresses } = this.#tables;
    const page: DirectoryAccount[] = [];
    for (let after = cursor; page.length < limit; ) {
      const wanted = limit - page.length;
      const behind = after === null ? {} : { _id: { $gt: after } };
      const names = await addresses.find({
        filter: { kind: 'account', ...behind },
        sort: { _id: 1 },
        limit: wanted,
        fields: ['accounts'],
      });
      const ids = names.flatMap((name) => name.accounts);
      const found = await accounts.find({ filter: { _id: { $in: ids }, removing: false }, fields: ACCOUNT_FIELDS });
      const known = new Map(found.map((account) => [account._id, account]));
      for (const {
        _id: address,
        accounts: [id],
      } of names) {
        const account = known.get(id!);
        if (account?.address === address) page.push(toAccount(account));
      }
      if (names.length < wanted) break;
      after = names.at(-1)!._id;
    }
    return page;
  }
  async countAccounts(): Promise<number> {
    const [all] = await this.#tables.accounts.group<{ _id: null; n: number }>({
      filter: { removing: false },
      by: null,
      sums: { n: 1 },
    });
    return all?.n ?? 0;
  }
  addAccount(account: DirectoryAccount, credential: Credential): Promise<void> {
    return this.#write(() => this.#addresses.addAccount(account, credential));
  }
  updateAccount(account: DirectoryAccount): Promise<boolean> {
    return this.#write(async () => {
      const before = await this.account(account.id);
      if (before === undefined || before.rev !== account.rev) return false;
      if (before.address !== account.address) return this.#addresses.move(before, account);
      const { id, rev, enabled, quotaBytes, quotaMessages, spam } = account;
      const { matched } = await this.#tables.accounts.updateOne(
        { _id: id, rev, removing: false },
        { $set: { enabled, quotaBytes, quotaMessages, spam }, $inc: { rev: 1 } },
      );
      return matched === 1;
    });
  }
  removeAccount(id: AccountId): Promise<boolean> {
    return this.#write(async () => {
      if ((await this.#tables.accounts.findOne({ _id: id }, { fields: ['rev'] })) === undefined) return false;
      await this.#tables.removals.insertOne({ _id: id });
      return this.#remove(id);
    });
  }
  async credential(id: AccountId): Promise<Credential | undefined> {
    const found = await this.#tables.accounts.findOne({ _id: id }, { fields: ['credential', 'removing'] });
    return found === undefined || found.removing ? undefined : found.credential;
  }
  async setCredential(id: AccountId, credential: Credential): Promise<boolean> {
    return (
      (await this.#tables.accounts.updateOne({ _id: id, removing: false }, { $set: { credential } })).matched === 1
    );
  }

  async aliases(cursor: string | null, limit: number): Promise<readonly Alias[]> {
    const behind = cursor === null ? {} : { _id: { $gt: cursor } };
    const filter = { kind: 'alias' as const, ...behind };
    return (await this.#tables.addresses.find({ filter, sort: { _id: 1 }, limit })).map(toAlias);
  }
  async alias(address: string): Promise<Alias | undefined> {
    const found = await this.#tables.addresses.findOne({ _id: address, kind: 'alias' });
    return found && toAlias(found);
  }
  async addressesOf(id: AccountId): Promise<readonly string[]> {
    const found = await this.#tables.addresses.find({ filter: { accounts: id }, sort: { _id: 1 } });
    const own: string[] = [];
    const aliases: string[] = [];
    for (const document of found) {
      if ((await this.#addresses.accountsOf(document)).length === 0) continue;
      (document.kind === 'account' ? own : aliases).push(document._id);
    }
    return [...own, ...aliases];
  }
  addAlias({ address, accounts, createdAt }: Alias): Promise<void> {
    return this.#write(async () => {
      await this.#addresses.claim(address, { kind: 'alias', accounts, createdAt });
    });
  }
  setAliasAccounts(address: string, accounts: readonly AccountId[]): Promise<boolean> {
    return this.#write(async () => {
      const { matched } = await this.#tables.addresses.updateOne(
        { _id: address, kind: 'alias' },
        { $set: { accounts } },
      );
      return matched === 1;
    });
  }
  removeAlias(address: string): Promise<boolean> {
    return this.#write(() => this.#tables.addresses.deleteOne({ _id: address, kind: 'alias' }));
  }

  async apiKeys(): Promise<readonly ApiKey[]> {
    return (await this.#tables.keys.find({ filter: {}, sort: { createdAt: 1, id: 1 } })).map(toKey);
  }
  async apiKeyByHash(hash: string): Promise<ApiKey | undefined> {
    const found = await this.#tables.keys.findOne({ _id: hash });
    return found && toKey(found);
  }
  async addApiKey({ hash, ...key }: ApiKey): Promise<void> {
    if (!(await this.#tables.keys.insertOne({ _id: hash, ...key }))) throw new ClientError('conflict', { key: key.id });
  }
  async revokeApiKey(id: string): Promise<boolean> {
    return (await this.#tables.keys.updateOne({ id, revoked: false }, { $set: { revoked: true } })).matched === 1;
  }

  once(key: string, request: string, now: number): Promise<unknown | null | undefined> {
    return this.#once.begin(key, request, now);
  }
  finishOnce(key: string, answer: unknown): Promise<void> {
    return this.#once.finish(key, answer);
  }

  verify(): Promise<readonly Damage[]> {
    return verifyDirectory(this.#tables, this.#addresses);
  }

  async backup(destination: string): Promise<void> {
    const copy = this.#archive(destination);
    await copy.open();
    try {
      await copyDirectory(this, copy);
    } finally {
      await copy.close();
    }
  }

  /** Each step may be made again; the account's document goes last, and true once. */
  async #remove(id: AccountId): Promise<boolean> {
    const { accounts, domains, removals } = this.#tables;
    await accounts.updateOne({ _id: id }, { $set: { removing: true } });
    await this.#addresses.leave(id);
    await domains.updateMany({ catchAll: id }, { $set: { catchAll: null } });
    const removed = await accounts.deleteOne({ _id: id });
    await removals.deleteOne({ _id: id });
    return removed;
  }

  async #targetsOf(address: string): Promise<readonly AccountId[]> {
    const found = await this.#tables.addresses.findOne({ _id: address });
    return found === undefined ? [] : this.#addresses.accountsOf(found);
  }

  async #write<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } finally {
      // Also after a failure: whether it took effect is only known to the database.
      this.#drop();
    }
  }

  #drop(): void {
    this.#domain.drop();
    this.#targets.drop();
  }
}
