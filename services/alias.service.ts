/** Aliases: more addresses of one or several accounts. */

import type { ServiceSchema } from 'moleculer';
import { normalizeAddress, parseAddress } from '../core/mail/address.ts';
import { ClientError } from '../core/mail/errors.ts';
import type { AccountId } from '../core/mail/ids.ts';
import type { Alias } from '../core/ports/directory.ts';
import { api, limitOf, PAGE, pageFrom, text } from '../mixins/api.ts';
import type { NodeContext } from '../mixins/context.ts';
import { findAccount } from '../mixins/find-message.ts';

const address = text({ max: 320 });
/** A list for many belongs to a list server. */
const ACCOUNTS_MAX = 1000;

function normal(given: string): string {
  const parsed = parseAddress(given, { smtputf8: true });
  if (parsed === null || parsed.domain === '') throw new ClientError('addressSyntax', { address: given });
  return normalizeAddress(parsed);
}

async function findAlias({ stores }: NodeContext, given: string): Promise<Alias> {
  const alias = await stores.directory.alias(normal(given));
  if (alias === undefined) throw new ClientError('notFound', { what: 'alias', address: given });
  return alias;
}

async function idsOf({ stores }: NodeContext, accounts: readonly string[]): Promise<readonly AccountId[]> {
  const found = await Promise.all(accounts.map((one) => findAccount(stores.directory, one)));
  return [...new Set(found.map((one) => one.id))];
}

const accounts = { type: 'array', min: 1, max: ACCOUNTS_MAX, items: text({ max: 320 }) };

export const service: ServiceSchema = {
  name: 'alias',
  actions: {
    create: api(
      'alias.create',
      { rest: 'POST /v1/aliases', scope: 'admin', summary: 'Add an alias', answer: 'Alias', creates: true },
      { address, accounts },
      async (params, context) => {
        const { stores, now } = context;
        const name = normal(params.address);
        const domain = name.slice(name.lastIndexOf('@') + 1);
        if ((await stores.directory.domain(domain)) === undefined)
          throw new ClientError('notFound', { what: 'domain', domain });
        const alias = { address: name, accounts: await idsOf(context, params.accounts), createdAt: now() };
        await stores.directory.addAlias(alias);
        return alias;
      },
    ),
    list: api(
      'alias.list',
      { rest: 'GET /v1/aliases', scope: 'read', summary: 'Aliases by address', answer: 'Alias', page: true },
      PAGE,
      async (params, { stores }) =>
        pageFrom(
          await stores.directory.aliases(params.cursor ?? null, limitOf(params) + 1),
          (alias) => alias.address,
          params,
        ),
    ),
    get: api(
      'alias.get',
      { rest: 'GET /v1/aliases/:address', scope: 'read', summary: 'One alias', answer: 'Alias' },
      { address },
      (params, context) => findAlias(context, params.address),
    ),
    update: api(
      'alias.update',
      { rest: 'PATCH /v1/aliases/:address', scope: 'admin', summary: 'Give an alias other accounts', answer: 'Alias' },
      { address, accounts },
      async (params, context) => {
        const alias = {
          ...(await findAlias(context, params.address)),
          accounts: await idsOf(context, params.accounts),
        };
        const there = await context.stores.directory.setAliasAccounts(alias.address, alias.accounts);
        if (!there) throw new ClientError('notFound', { what: 'alias', address: alias.address });
        return alias;
      },
    ),
    remove: api(
      'alias.remove',
      { rest: 'DELETE /v1/aliases/:address', scope: 'admin', summary: 'Remove an alias' },
      { address },
      async (params, context) => {
        const alias = await findAlias(context, params.address);
        await context.stores.directory.removeAlias(alias.address);
        return { removed: true };
      },
    ),
  },
};
