/**
 * The directory: who exists here and under which names, how they prove who they are, and the API's keys. Small, read at
 * every RCPT and login, and shared by all nodes.
 */

import type { AccountId } from '../mail/ids.ts';
import type { Damage } from './blob-store.ts';

/** A password as it is kept: never the password. Made and checked by `core/sasl/password.ts`. */
export interface Credential {
  /** scrypt in its own notation: parameters, salt and hash. */
  readonly scrypt: string;
  /** RFC 5803-like: iterations, salt, StoredKey and ServerKey for SCRAM-SHA-256, base64. */
  readonly scram: {
    readonly iterations: number;
    readonly salt: string;
    readonly storedKey: string;
    readonly serverKey: string;
  };
}

export interface DirectoryAccount {
  readonly id: AccountId;
  /** The primary address, lower case. */
  readonly address: string;
  readonly enabled: boolean;
  readonly quotaBytes: number | null;
  readonly quotaMessages: number | null;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  /** Goes up by one at each change; updates name the one they saw. */
  readonly rev: number;
  readonly spam: SpamPreferences;
}

export interface SpamPreferences {
  /** Addresses or `@domain`, lower case. */
  readonly allow: readonly string[];
  readonly block: readonly string[];
}

export interface Domain {
  readonly name: string;
  /** The account that gets mail for unknown local parts, or null. */
  readonly catchAll: AccountId | null;
  readonly createdAt: number;
}

export interface Alias {
  /** The full address, lower case. */
  readonly address: string;
  readonly accounts: readonly AccountId[];
  readonly createdAt: number;
}

export type ApiScope = 'admin' | 'read';

export interface ApiKey {
  readonly id: string;
  readonly name: string;
  readonly scope: ApiScope;
  /** Hex SHA-256 of the secret: it is random, so no slow hash is needed. */
  readonly hash: string;
  readonly createdAt: number;
  readonly revoked: boolean;
}

export interface Directory {
  open(): Promise<void>;
  close(): Promise<void>;

  /** Names compare in lower case with the domain in A-labels: the caller has normalised them (core/mail/address.ts). */
  domain(name: string): Promise<Domain | undefined>;
  domains(): Promise<readonly Domain[]>;
  /** Rejects with ClientError mailboxExists when it is there. */
  addDomain(domain: Domain): Promise<void>;
  setCatchAll(name: string, account: AccountId | null): Promise<boolean>;
  /** Rejects with ClientError conflict while addresses of it exist. False when there is none. */
  removeDomain(name: string): Promise<boolean>;

  account(id: AccountId): Promise<DirectoryAccount | undefined>;
  /** By the primary address only. */
  accountByAddress(address: string): Promise<DirectoryAccount | undefined>;
  /** The accounts that mail for this exact address goes to: its account, or its alias's. Empty for none. */
  resolve(address: string): Promise<readonly AccountId[]>;
  /** By address, ascending, behind `cursor`. */
  accounts(cursor: string | null, limit: number): Promise<readonly DirectoryAccount[]>;
  countAccounts(): Promise<number>;
  /** Rejects with ClientError mailboxExists when the address or id is taken, by an alias too. Survives power loss. */
  addAccount(account: DirectoryAccount, credential: Credential): Promise<void>;
  /** Compare-and-set on `rev`: false when it has changed meanwhile. */
  updateAccount(account: DirectoryAccount): Promise<boolean>;
  removeAccount(id: AccountId): Promise<boolean>;
  credential(id: AccountId): Promise<Credential | undefined>;
  setCredential(id: AccountId, credential: Credential): Promise<boolean>;

  aliases(cursor: string | null, limit: number): Promise<readonly Alias[]>;
  alias(address: string): Promise<Alias | undefined>;
  /** All addresses that lead to the account: its own first, then its aliases. */
  addressesOf(id: AccountId): Promise<readonly string[]>;
  addAlias(alias: Alias): Promise<void>;
  /** In one step, so that mail for the alias is never refused meanwhile. False when there is no such alias. */
  setAliasAccounts(address: string, accounts: readonly AccountId[]): Promise<boolean>;
  removeAlias(address: string): Promise<boolean>;

  apiKeys(): Promise<readonly ApiKey[]>;
  apiKeyByHash(hash: string): Promise<ApiKey | undefined>;
  addApiKey(key: ApiKey): Promise<void>;
  revokeApiKey(id: string): Promise<boolean>;

  /**
   * Remembers the answer given under an idempotency key for 24 h; the first caller gets `undefined` and must call
   * `finishOnce`, later ones the answer, or null while the first is at work. `request` is a hash of what was asked: a
   * different one under the same key rejects with ClientError conflict. An answer of undefined sets the key free.
   */
  once(key: string, request: string, now: number): Promise<unknown | null | undefined>;
  finishOnce(key: string, answer: unknown): Promise<void>;

  /** What is broken; nothing is repaired. */
  verify(): Promise<readonly Damage[]>;
  backup(destination: string): Promise<void>;
}
