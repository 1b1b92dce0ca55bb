/** From names that people use (address, mailbox name, uid) to what the stores keep. */

import { normalizeAddress, parseAddress } from '../core/mail/address.ts';
import { ClientError } from '../core/mail/errors.ts';
import { type AccountId, accountId } from '../core/mail/ids.ts';
import type { DirectoryAccount } from '../core/ports/directory.ts';
import type { Content, ContentField, Mailbox, Row } from '../core/ports/mail-store.ts';
import type { Stores } from './storage.ts';

type Readers = Pick<Stores, 'directory' | 'mail'>;

/** By address, alias of one account, or id. Rejects with ClientError notFound. */
export async function findAccount(directory: Stores['directory'], nameOrId: string): Promise<DirectoryAccount> {
  const address = parseAddress(nameOrId, { smtputf8: true });
  const ids =
    address !== null && address.domain !== ''
      ? await directory.resolve(normalizeAddress(address))
      : [accountId(nameOrId)];
  const account = ids.length === 1 ? await directory.account(ids[0]!) : undefined;
  if (account === undefined) throw new ClientError('notFound', { what: 'account', account: nameOrId });
  return account;
}

export async function findMailbox(mail: Stores['mail'], account: AccountId, name: string): Promise<Mailbox> {
  const wanted = name.toUpperCase() === 'INBOX' ? 'INBOX' : name.normalize('NFC');
  const mailbox = (await mail.mailboxes(account)).find((one) => one.name === wanted);
  if (mailbox === undefined) throw new ClientError('notFound', { what: 'mailbox', mailbox: name });
  return mailbox;
}

export interface FoundMessage {
  readonly account: DirectoryAccount;
  readonly mailbox: Mailbox;
  readonly row: Row;
  readonly content: Content;
}

export async function findMessage(
  { directory, mail }: Readers,
  accountName: string,
  mailboxName: string,
  uid: number,
  fields: readonly ContentField[],
): Promise<FoundMessage> {
  // Beyond 32 bits a number would name another message.
  if (!Number.isInteger(uid) || uid < 1 || uid > 0xffff_ffff)
    throw new ClientError('notFound', { what: 'message', uid: Number.isNaN(uid) ? null : uid });
  const account = await findAccount(directory, accountName);
  const mailbox = await findMailbox(mail, account.id, mailboxName);
  const [row] = await mail.rows(account.id, mailbox.id, Uint32Array.of(uid));
  const [content] = row === undefined ? [] : await mail.contents(account.id, [row.content], fields);
  if (row === undefined || content === undefined) throw new ClientError('notFound', { what: 'message', uid });
  return { account, mailbox, row, content };
}
