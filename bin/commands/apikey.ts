/** `mailmesh apikey`: keys of the REST API. */

import { allPages, type Command, type Verb } from '../command.ts';
import { UsageError } from '../errors.ts';
import { formatTime } from '../format.ts';
import { facts, table } from '../table.ts';

const create: Verb = {
  name: 'create',
  args: ['[NAME]'],
  summary: 'Makes a key and prints its secret, this once.',
  options: { scope: { type: 'string', value: 'SCOPE', doc: 'admin: may do everything; read: may only look' } },
  examples: ['mailmesh apikey create backup-job --scope read', 'mailmesh apikey create --scope admin --json'],
  async run(context) {
    const { scope } = context.flags;
    if (scope !== 'admin' && scope !== 'read')
      throw new UsageError('apikey create wants --scope admin or --scope read');
    const client = await context.client();
    const key = await client.call('apikey.create', { name: context.args[0] ?? scope, scope });
    context.show(key, () =>
      facts([
        ['id', key.id],
        ['name', key.name],
        ['scope', key.scope],
        ['secret', key.secret],
        ['use', 'curl -H "Authorization: Bearer SECRET" …; the secret is not shown again'],
      ]),
    );
    return 0;
  },
};

const list: Verb = {
  name: 'list',
  args: [],
  summary: 'Lists all keys, without secrets.',
  examples: ['mailmesh apikey list'],
  async run(context) {
    const client = await context.client();
    const keys = await allPages((page) => client.call('apikey.list', page));
    context.show(keys, () =>
      table(
        ['id', 'name', 'scope', 'created', 'revoked'],
        keys.map((key) => [key.id, key.name, key.scope, formatTime(key.createdAt), key.revoked]),
      ),
    );
    return 0;
  },
};

const revoke: Verb = {
  name: 'revoke',
  args: ['ID'],
  summary: 'Makes a key useless for good.',
  examples: ['mailmesh apikey revoke 4f9c0e2a'],
  async run(context) {
    const id = context.args[0]!;
    const client = await context.client();
    context.show(await client.call('apikey.revoke', { id }), () => `Revoked ${id}.`);
    return 0;
  },
};

export const command: Command = { name: 'apikey', summary: 'Keys of the REST API.', verbs: [create, list, revoke] };
