/** Accounts' addresses for people: aliases and catch-alls name accounts by id. */

import { MailError } from '../core/mail/errors.ts';
import type { MeshClient } from './client.ts';
import { CommandError } from './errors.ts';

/** The address behind each id; an id whose account is gone stands for itself. */
export async function accountNames(client: MeshClient, ids: Iterable<string | null>): Promise<(id: string) => string> {
  const names = new Map<string, string>();
  for (const id of new Set(ids)) {
    if (id === null) continue;
    try {
      names.set(id, (await client.call('account.get', { account: id })).address);
    } catch (error) {
      if (!(error instanceof CommandError || error instanceof MailError)) throw error;
    }
  }
  return (id) => names.get(id) ?? id;
}
