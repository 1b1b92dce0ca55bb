/** Domains that this system has mail for. */

import type { ServiceSchema } from 'moleculer';
import { normalizeDomain, parseAddress } from '../core/mail/address.ts';
import { ClientError } from '../core/mail/errors.ts';
import type { Domain } from '../core/ports/directory.ts';
import { api, PAGE, pageOf, text } from '../mixins/api.ts';
import type { NodeContext } from '../mixins/context.ts';
import { findAccount } from '../mixins/find-message.ts';

const name = text({ max: 255 });

async function findDomain({ stores }: NodeContext, wanted: string): Promise<Domain> {
  const domain = await stores.directory.domain(normalizeDomain(wanted));
  if (domain === undefined) throw new ClientError('notFound', { what: 'domain', domain: wanted });
  return domain;
}

export const service: ServiceSchema = {
  name: 'domain',
  actions: {
    create: api(
      'domain.create',
      { rest: 'POST /v1/domains', scope: 'admin', summary: 'Add a domain', answer: 'Domain', creates: true },
      { name },
      async (params, { stores, now }) => {
        // A domain is right when an address in it is.
        const parsed = parseAddress(`postmaster@${params.name}`, { smtputf8: true });
        if (parsed === null || parsed.domain.startsWith('['))
          throw new ClientError('invalid', { what: 'domain', domain: params.name });
        const domain: Domain = { name: normalizeDomain(params.name), catchAll: null, createdAt: now() };
        await stores.directory.addDomain(domain);
        return domain;
      },
    ),
    list: api(
      'domain.list',
      { rest: 'GET /v1/domains', scope: 'read', summary: 'Domains by name', answer: 'Domain', page: true },
      PAGE,
      async (params, { stores }) => pageOf(await stores.directory.domains(), (domain) => domain.name, params),
    ),
    get: api(
      'domain.get',
      { rest: 'GET /v1/domains/:name', scope: 'read', summary: 'One domain', answer: 'Domain' },
      { name },
      (params, context) => findDomain(context, params.name),
    ),
    update: api(
      'domain.update',
      { rest: 'PATCH /v1/domains/:name', scope: 'admin', summary: 'Set the catch-all account', answer: 'Domain' },
      { name, catchAll: { type: 'string', nullable: true, max: 320 } },
      async (params, context) => {
        const domain = await findDomain(context, params.name);
        const { directory } = context.stores;
        const catchAll = params.catchAll === null ? null : (await findAccount(directory, params.catchAll)).id;
        await directory.setCatchAll(domain.name, catchAll);
        return findDomain(context, domain.name);
      },
    ),
    remove: api(
      'domain.remove',
      { rest: 'DELETE /v1/domains/:name', scope: 'admin', summary: 'Remove a domain that has no addresses' },
      { name },
      async (params, { stores }) => {
        if (!(await stores.directory.removeDomain(normalizeDomain(params.name))))
          throw new ClientError('notFound', { what: 'domain', domain: params.name });
        return { removed: true };
      },
    ),
  },
};
