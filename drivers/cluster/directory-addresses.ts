/**
 * Claiming addresses without transactions. An insert by `_id` decides between those who want one address. What an address
 * that is not `sure` leads to is read from its account, so the one write that changes the account's document moves it from
 * one address to the other for everybody at the same moment, and a crash at any step leaves a right answer.
 */

import { randomBytes } from 'node:crypto';
import { ClientError, TemporaryError } from '../../core/mail/errors.ts';
import type { AccountId } from '../../core/mail/ids.ts';
import type { Credential, DirectoryAccount } from '../../core/ports/directory.ts';
import { type AccountDocument, type AddressDocument, domainOf, type Tables } from './directory-documents.ts';

const ATTEMPTS_MAX = 20;

const nonce = (): string => randomBytes(12).toString('hex');

export class DirectoryAddresses {
  readonly #tables: Tables;

  constructor(tables: Tables) {
    this.#tables = tables;
  }

  /**
   * Makes the address lead to these accounts. Idempotent for the same account.
   *
   * A domain that is there must still be there when the address is: the insert comes first, then the domain's rev goes up.
   * A removal reads the rev, looks for addresses, and deletes the domain of that rev; whichever way the two interleave,
   * either the removal sees the address or one of the two finds the domain's document changed.
   * @throws ClientError mailboxExists where it is taken, conflict where its domain was removed meanwhile
   */
  async claim(
    address: string,
    claim: Pick<AddressDocument, 'kind' | 'accounts' | 'createdAt'> & { readonly unsureAt?: number },
  ): Promise<AddressDocument> {
    const { domains, addresses } = this.#tables;
    const domain = domainOf(address);
    const { kind, accounts, createdAt, unsureAt } = claim;
    const document: AddressDocument = {
      ...{ _id: address, kind, domain, accounts, createdAt },
      ...{ sure: unsureAt === undefined, rev: unsureAt ?? 0, nonce: nonce() },
    };
    const known = (await domains.findOne({ _id: domain }, { fields: ['rev'] })) !== undefined;
    for (let attempt = 0; !(await addresses.insertOne(document)); attempt++) {
      const holder = await addresses.findOne({ _id: address });
      if (holder?.nonce === document.nonce) break;
      if (isSame(holder, document)) return holder!;
      if (holder !== undefined && (await this.#isTaken(holder, document)))
        throw new ClientError('mailboxExists', { address });
      if (attempt === ATTEMPTS_MAX) throw new TemporaryError('storeUnavailable', { detail: 'contended address' });
    }
    if (known && (await domains.updateOne({ _id: domain }, { $inc: { rev: 1 } })).matched === 0) {
      await addresses.deleteOne({ _id: address, nonce: document.nonce });
      throw new ClientError('conflict', { domain });
    }
    return document;
  }

  /**
   * The account's document comes first and cannot be found by any name until its address is claimed. The same call again
   * after a lost answer finds its own account and goes on.
   */
  async addAccount({ id, ...account }: DirectoryAccount, credential: Credential): Promise<void> {
    const { accounts, addresses } = this.#tables;
    const document: AccountDocument = { _id: id, ...account, credential, removing: false };
    if (!(await accounts.insertOne(document))) {
      const found = await accounts.findOne({ _id: id });
      const mine = found !== undefined && found.address === account.address && sameCredential(found, credential);
      if (!mine || found.removing) throw new ClientError('mailboxExists', { account: id });
    }
    try {
      await this.claim(account.address, { kind: 'account', accounts: [id], createdAt: account.createdAt });
    } catch (error) {
      if (!(error instanceof ClientError)) throw error;
      // Only what leads nowhere is taken back: another call with the same account may have got the address.
      if ((await addresses.findOne({ _id: account.address, accounts: id })) === undefined)
        await accounts.deleteOne({ _id: id, address: account.address, rev: account.rev });
      throw error;
    }
  }

  /** Gives the account another primary address with whatever else `account` changes. False when its rev has changed. */
  async move(before: DirectoryAccount, account: DirectoryAccount): Promise<boolean> {
    const { accounts, addresses } = this.#tables;
    const { id, rev, address, ...fields } = account;
    const { createdAt } = account;
    await this.claim(address, { kind: 'account', accounts: [id], createdAt, unsureAt: rev });
    const unsure = { sure: false, rev, nonce: nonce() };
    await addresses.updateOne({ _id: before.address, kind: 'account', accounts: id }, { $set: unsure });
    const changed = await accounts.updateOne(
      { _id: id, rev, removing: false },
      { $set: { ...fields, address }, $inc: { rev: 1 } },
    );
    // Decided one way or the other: the account has a newer rev, or is gone.
    for (const name of [address, before.address]) {
      const document = await addresses.findOne({ _id: name });
      if (document?.accounts.includes(id)) await this.settle(document);
    }
    return changed.matched === 1;
  }

  /** Where an address leads that may not be sure. */
  async accountsOf(document: AddressDocument): Promise<readonly AccountId[]> {
    if (document.sure) return document.accounts;
    return (await this.#owner(document))?.address === document._id ? document.accounts : [];
  }

  /** Makes an address sure, or deletes it, where that is decided. Whether there was anything to delete. */
  async settle(document: AddressDocument): Promise<boolean> {
    if (document.sure) return false;
    const { addresses } = this.#tables;
    const owner = await this.#owner(document);
    const same = { _id: document._id, nonce: document.nonce };
    if (owner !== undefined && owner.rev <= document.rev) return false;
    if (owner?.address !== document._id) return addresses.deleteOne(same);
    await addresses.updateOne(same, { $set: { sure: true } });
    return false;
  }

  /** True when the domain has no address left; leftovers of interrupted moves are cleared away. */
  async isEmpty(domain: string): Promise<boolean> {
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const found = await this.#tables.addresses.findOne({ domain });
      if (found === undefined) return true;
      if (await this.#isTaken(found)) return false;
    }
    return false;
  }

  /** Takes the account out of every address: its own go, and aliases that lead to nobody else. */
  async leave(id: AccountId): Promise<void> {
    const { addresses } = this.#tables;
    for (;;) {
      const found = await addresses.find({ filter: { accounts: id }, limit: 100 });
      if (found.length === 0) return;
      for (const { _id, kind, accounts } of found) {
        const rest = accounts.filter((account) => account !== id);
        // The list as it was seen: an alias that is given other accounts meanwhile is read again.
        const same = { _id, kind, accounts: { $eq: accounts } };
        if (kind === 'account' || rest.length === 0) await addresses.deleteOne(same);
        else await addresses.updateOne(same, { $set: { accounts: rest } });
      }
    }
  }

  /**
   * Whether somebody has the address. Where a move to it is under way or was interrupted, it is taken away from that: the
   * account's rev goes up, after which the move cannot take effect any more.
   */
  async #isTaken(document: AddressDocument, wanted?: AddressDocument): Promise<boolean> {
    if (document.sure) return true;
    const { accounts, addresses } = this.#tables;
    const owner = await this.#owner(document);
    if (owner?.address === document._id) return true;
    // An interrupted move of the same account is no rival.
    const isRival = wanted?.kind !== 'account' || wanted.accounts[0] !== owner?._id;
    if (owner !== undefined && isRival && owner.rev <= document.rev) {
      await accounts.updateOne({ _id: owner._id, rev: owner.rev }, { $inc: { rev: 1 } });
      if ((await this.#owner(document))?.address === document._id) return true;
    }
    await addresses.deleteOne({ _id: document._id, nonce: document.nonce });
    return false;
  }

  async #owner({ accounts: [id] }: AddressDocument) {
    if (id === undefined) return undefined;
    const found = await this.#tables.accounts.findOne({ _id: id }, { fields: ['address', 'rev', 'removing'] });
    return found === undefined || found.removing ? undefined : found;
  }
}

/** An account that asks for its own address again. */
const isSame = (holder: AddressDocument | undefined, wanted: AddressDocument): boolean =>
  holder?.kind === 'account' && wanted.kind === 'account' && wanted.sure && holder.accounts[0] === wanted.accounts[0];

const sameCredential = (found: AccountDocument, credential: Credential): boolean =>
  found.credential.scrypt === credential.scrypt && found.credential.scram.salt === credential.scram.salt;
