/**
 * Looks for what no sequence of whole changes leaves behind: names that lead nowhere and accounts without a name. What
 * looks wrong is looked at again by itself at the end, because others change the directory meanwhile.
 */

import type { AccountId } from '../../core/mail/ids.ts';
import type { Damage } from '../../core/ports/blob-store.ts';
import type { DirectoryAddresses } from './directory-addresses.ts';
import type { Tables } from './directory-documents.ts';

const PAGE = 500;
/** Enough to see what is wrong. */
const SUSPECTS_MAX = 100;

export async function verifyDirectory(tables: Tables, addresses: DirectoryAddresses): Promise<readonly Damage[]> {
  const names = await suspectAddresses(tables);
  const accounts = await suspectAccounts(tables);
  const damage: Damage[] = [];
  for (const [what, detail] of [
    ...(await Promise.all(names.map(async (name) => [name, await addressTrouble(tables, addresses, name)] as const))),
    ...(await Promise.all(accounts.map(async (id) => [id, await accountTrouble(tables, id)] as const))),
  ])
    if (detail !== undefined) damage.push({ what, detail, repaired: false });
  return damage;
}

async function suspectAddresses({ addresses, accounts }: Tables): Promise<string[]> {
  const suspects: string[] = [];
  for (let after = ''; suspects.length < SUSPECTS_MAX; ) {
    const page = await addresses.find({ filter: { _id: { $gt: after } }, sort: { _id: 1 }, limit: PAGE });
    const ids = page.flatMap((address) => address.accounts);
    const found = await accounts.find({ filter: { _id: { $in: ids } }, fields: ['address'] });
    const known = new Map(found.map((account) => [account._id, account.address]));
    for (const { _id, kind, sure, accounts: leadsTo } of page)
      if (!sure || leadsTo.some((id) => !known.has(id)) || (kind === 'account' && known.get(leadsTo[0]!) !== _id))
        suspects.push(_id);
    if (page.length < PAGE) break;
    after = page.at(-1)!._id;
  }
  return suspects;
}

async function suspectAccounts({ addresses, accounts }: Tables): Promise<AccountId[]> {
  const suspects: AccountId[] = [];
  for (let after = '' as AccountId; suspects.length < SUSPECTS_MAX; ) {
    const page = await accounts.find({
      filter: { _id: { $gt: after } },
      sort: { _id: 1 },
      limit: PAGE,
      fields: ['address', 'removing'],
    });
    const names = await addresses.find({
      filter: { _id: { $in: page.map((account) => account.address) } },
      fields: ['accounts'],
    });
    const owners = new Map(names.map((name) => [name._id, name.accounts[0]]));
    for (const { _id, address, removing } of page) if (removing || owners.get(address) !== _id) suspects.push(_id);
    if (page.length < PAGE) break;
    after = page.at(-1)!._id;
  }
  return suspects;
}

async function addressTrouble(
  tables: Tables,
  addresses: DirectoryAddresses,
  name: string,
): Promise<string | undefined> {
  const address = await tables.addresses.findOne({ _id: name });
  if (address === undefined) return undefined;
  if (!address.sure)
    return (await addresses.accountsOf(address)).length > 0
      ? undefined
      : 'left over from an interrupted change: whoever wants it gets it';
  const accounts = await tables.accounts.find({ filter: { _id: { $in: address.accounts } }, fields: ['address'] });
  const missing = address.accounts.filter((id) => !accounts.some((account) => account._id === id));
  if (missing.length > 0) return `leads to no account: ${missing.join(', ')}`;
  return address.kind === 'account' && accounts[0]!.address !== name ? 'its account has another address' : undefined;
}

async function accountTrouble({ addresses, accounts }: Tables, id: AccountId): Promise<string | undefined> {
  const account = await accounts.findOne({ _id: id }, { fields: ['address', 'removing'] });
  if (account === undefined) return undefined;
  if (account.removing) return 'half removed: the next start of a node finishes it';
  const owned = await addresses.findOne({ _id: account.address, accounts: id }, { fields: ['kind'] });
  return owned === undefined ? `does not have its address ${account.address}` : undefined;
}
