/** `mailmesh alias`: further addresses that lead to accounts. */

import type { Alias } from '../../core/ports/directory.ts';
import { accountNames } from '../account-names.ts';
import type { MeshClient } from '../client.ts';
import { allPages, type Command, type Context, type Verb } from '../command.ts';
import { formatTime } from '../format.ts';
import { facts, table } from '../table.ts';

async function print(context: Context, client: MeshClient, alias: Alias): Promise<void> {
  const name = await accountNames(client, alias.accounts);
  context.show(alias, () =>
    facts([
      ['address', alias.address],
      ['accounts', alias.accounts.map(name).join(', ')],
      ['created', formatTime(alias.createdAt)],
    ]),
  );
}

const add: Verb = {
  name: 'add',
  args: ['ADDRESS', 'ACCOUNT…'],
  summary: 'Makes an address that leads to one or more accounts.',
  examples: ['mailmesh alias add team@mail.localhost alice@mail.localhost bob@mail.localhost'],
  async run(context) {
    const [address, ...accounts] = context.args;
    const client = await context.client();
    context.show(
      await client.call('alias.create', { address: address!, accounts }),
      (alias) => `Added ${alias.address} for ${accounts.join(', ')}.`,
    );
    return 0;
  },
};

const list: Verb = {
  name: 'list',
  args: [],
  summary: 'Lists all aliases.',
  examples: ['mailmesh alias list'],
  async run(context) {
    const client = await context.client();
    const aliases = await allPages((page) => client.call('alias.list', page));
    const name = await accountNames(
      client,
      aliases.flatMap((alias) => alias.accounts),
    );
    context.show(aliases, () =>
      table(
        ['address', 'accounts', 'created'],
        aliases.map((alias) => [alias.address, alias.accounts.map(name).join(', '), formatTime(alias.createdAt)]),
      ),
    );
    return 0;
  },
};

const show: Verb = {
  name: 'show',
  args: ['ADDRESS'],
  summary: 'Shows one alias.',
  examples: ['mailmesh alias show team@mail.localhost'],
  async run(context) {
    const client = await context.client();
    await print(context, client, await client.call('alias.get', { address: context.args[0]! }));
    return 0;
  },
};

const set: Verb = {
  name: 'set',
  args: ['ADDRESS', 'ACCOUNT…'],
  summary: 'Gives an alias other accounts, in one step.',
  examples: ['mailmesh alias set team@mail.localhost bob@mail.localhost'],
  async run(context) {
    const [address, ...accounts] = context.args;
    const client = await context.client();
    await print(context, client, await client.call('alias.update', { address: address!, accounts }));
    return 0;
  },
};

const remove: Verb = {
  name: 'remove',
  args: ['ADDRESS'],
  summary: 'Removes an alias; the accounts stay.',
  examples: ['mailmesh alias remove team@mail.localhost'],
  async run(context) {
    const address = context.args[0]!;
    const client = await context.client();
    context.show(await client.call('alias.remove', { address }), () => `Removed ${address}.`);
    return 0;
  },
};

export const command: Command = {
  name: 'alias',
  summary: 'Aliases: further addresses that lead to accounts.',
  verbs: [add, list, show, set, remove],
};
