/** `mailmesh domain`: which domains mail is taken for. */

import type { Domain } from '../../core/ports/directory.ts';
import { accountNames } from '../account-names.ts';
import type { MeshClient } from '../client.ts';
import { allPages, type Command, type Context, type Verb } from '../command.ts';
import { UsageError } from '../errors.ts';
import { formatTime } from '../format.ts';
import { facts, table } from '../table.ts';

async function print(context: Context, client: MeshClient, domain: Domain): Promise<void> {
  const name = await accountNames(client, [domain.catchAll]);
  context.show(domain, () =>
    facts([
      ['name', domain.name],
      ['catch-all', domain.catchAll && name(domain.catchAll)],
      ['created', formatTime(domain.createdAt)],
    ]),
  );
}

const CATCH_ALL = {
  'catch-all': { type: 'string', value: 'ADDRESS', doc: 'account that gets mail for unknown addresses; none: nobody' },
} as const;

const add: Verb = {
  name: 'add',
  args: ['NAME'],
  summary: 'Takes mail for a domain from now on.',
  options: CATCH_ALL,
  examples: ['mailmesh domain add example.org', 'mailmesh domain add example.org --catch-all alice@mail.localhost'],
  async run(context) {
    const client = await context.client();
    const name = context.args[0]!;
    let domain = await client.call('domain.create', { name });
    const catchAll = context.flags['catch-all'];
    if (typeof catchAll === 'string' && catchAll !== 'none')
      domain = await client.call('domain.update', { name, catchAll });
    context.show(domain, () => `Added ${domain.name}.`);
    return 0;
  },
};

const list: Verb = {
  name: 'list',
  args: [],
  summary: 'Lists all domains.',
  examples: ['mailmesh domain list'],
  async run(context) {
    const client = await context.client();
    const domains = await allPages((page) => client.call('domain.list', page));
    const name = await accountNames(
      client,
      domains.map((domain) => domain.catchAll),
    );
    context.show(domains, () =>
      table(
        ['name', 'catch-all', 'created'],
        domains.map((domain) => [domain.name, domain.catchAll && name(domain.catchAll), formatTime(domain.createdAt)]),
      ),
    );
    return 0;
  },
};

const show: Verb = {
  name: 'show',
  args: ['NAME'],
  summary: 'Shows one domain.',
  examples: ['mailmesh domain show mail.localhost'],
  async run(context) {
    const client = await context.client();
    await print(context, client, await client.call('domain.get', { name: context.args[0]! }));
    return 0;
  },
};

const set: Verb = {
  name: 'set',
  args: ['NAME'],
  summary: 'Sets or clears the catch-all.',
  options: CATCH_ALL,
  examples: [
    'mailmesh domain set mail.localhost --catch-all alice@mail.localhost',
    'mailmesh domain set mail.localhost --catch-all none',
  ],
  async run(context) {
    const catchAll = context.flags['catch-all'];
    if (typeof catchAll !== 'string') throw new UsageError('domain set wants --catch-all ADDRESS, or none');
    const client = await context.client();
    const change = { name: context.args[0]!, catchAll: catchAll === 'none' ? null : catchAll };
    await print(context, client, await client.call('domain.update', change));
    return 0;
  },
};

const remove: Verb = {
  name: 'remove',
  args: ['NAME'],
  summary: 'Takes no more mail for a domain. Refused while accounts or aliases of it exist.',
  examples: ['mailmesh domain remove example.org'],
  async run(context) {
    const name = context.args[0]!;
    const client = await context.client();
    context.show(await client.call('domain.remove', { name }), () => `Removed ${name}.`);
    return 0;
  },
};

export const command: Command = {
  name: 'domain',
  summary: 'Domains that mail is taken for.',
  verbs: [add, list, show, set, remove],
};
