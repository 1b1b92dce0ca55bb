/**
 * The directory's documents. Addresses are one name space, because each claims its `_id` in `addresses`; an account is one
 * document of its own, which alone says what its primary address is wherever an address is not `sure`.
 */

import type { AccountId } from '../../core/mail/ids.ts';
import type { Alias, ApiKey, Credential, DirectoryAccount, Domain } from '../../core/ports/directory.ts';
import type { Mongo } from './mongo.ts';
import type { Collection } from './mongo-collection.ts';

export interface DomainDocument extends Omit<Domain, 'name'> {
  readonly _id: string;
  /** Goes up with each address added: a removal names the one it has seen. */
  readonly rev: number;
}

export interface AddressDocument {
  readonly _id: string;
  readonly kind: 'account' | 'alias';
  readonly domain: string;
  readonly accounts: readonly AccountId[];
  readonly createdAt: number;
  /** False while the account that it belongs to moves here or away: the account's document decides. */
  readonly sure: boolean;
  /** Where it is not sure: the account's rev that the move began at. It is decided once the account has a newer one. */
  readonly rev: number;
  /** Random name of the last change of these fields. */
  readonly nonce: string;
}

export interface AccountDocument extends Omit<DirectoryAccount, 'id'> {
  readonly _id: AccountId;
  readonly credential: Credential;
  /** Its removal has begun: it counts as gone. */
  readonly removing: boolean;
}

export interface ApiKeyDocument extends Omit<ApiKey, 'hash'> {
  /** The hash. */
  readonly _id: string;
}

/** A removal that has begun; whoever opens the directory finishes it. */
interface RemovalDocument {
  readonly _id: AccountId;
}

export interface Tables {
  readonly domains: Collection<DomainDocument>;
  readonly addresses: Collection<AddressDocument>;
  readonly accounts: Collection<AccountDocument>;
  readonly keys: Collection<ApiKeyDocument>;
  readonly removals: Collection<RemovalDocument>;
}

export const tablesOf = (mongo: Mongo): Tables => ({
  domains: mongo.collection('domains'),
  addresses: mongo.collection('addresses'),
  // `accounts` is the mail store's.
  accounts: mongo.collection('directoryAccounts'),
  keys: mongo.collection('apiKeys'),
  removals: mongo.collection('directoryRemovals'),
});

/** Look-ups are by _id but for these, which only administrators' requests use. Safe to be called by many nodes at once. */
export async function createIndexes({ domains, addresses, keys }: Tables): Promise<void> {
  await domains.createIndex({ catchAll: 1 });
  await addresses.createIndex({ domain: 1 });
  await addresses.createIndex({ accounts: 1 });
  await keys.createIndex({ id: 1 }, { unique: true });
}

export const domainOf = (address: string): string => address.slice(address.lastIndexOf('@') + 1);

export const toDomain = ({ _id, catchAll, createdAt }: DomainDocument): Domain =>
  Object.freeze({ name: _id, catchAll, createdAt });

/** Everything but the credential: what most look-ups read. */
export const ACCOUNT_FIELDS = [
  ...(['address', 'enabled', 'quotaBytes', 'quotaMessages'] as const),
  ...(['createdAt', 'rev', 'spam', 'removing'] as const),
];

export const toAccount = (document: Omit<AccountDocument, 'credential'>): DirectoryAccount =>
  Object.freeze({
    id: document._id,
    address: document.address,
    enabled: document.enabled,
    quotaBytes: document.quotaBytes,
    quotaMessages: document.quotaMessages,
    createdAt: document.createdAt,
    rev: document.rev,
    spam: document.spam,
  });

export const toAlias = ({ _id, accounts, createdAt }: AddressDocument): Alias => ({
  address: _id,
  accounts,
  createdAt,
});

export const toKey = ({ _id, id, name, scope, createdAt, revoked }: ApiKeyDocument): ApiKey => ({
  ...{ id, name, scope, hash: _id, createdAt, revoked },
});
