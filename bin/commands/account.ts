/** `mailmesh account`: who has mail here. */

import { parseBytes } from '../../core/config/option.ts';
import type { AccountView, Params } from '../../mixins/contracts.ts';
import { allPages, type Command, type Context, confirm, readPassword, type Verb } from '../command.ts';
import { UsageError } from '../errors.ts';
import { formatSize, formatTime } from '../format.ts';
import { facts, table } from '../table.ts';

const QUOTA_OPTIONS = {
  quota: { type: 'string', value: 'SIZE', doc: 'most bytes it may hold, such as 5G; none: no limit' },
  'quota-messages': { type: 'string', value: 'COUNT', doc: 'most messages it may hold; none: no limit' },
} as const;

function quotas({ flags }: Context): { quotaBytes?: number | null; quotaMessages?: number | null } {
  const result: { quotaBytes?: number | null; quotaMessages?: number | null } = {};
  const { quota, 'quota-messages': messages } = flags;
  if (typeof quota === 'string') {
    const bytes = quota === 'none' ? null : parseBytes(quota);
    if (bytes === undefined) throw new UsageError(`--quota: "${quota}": a size such as 512M or 5G, or none`);
    result.quotaBytes = bytes;
  }
  if (typeof messages === 'string') {
    if (messages !== 'none' && !/^\d{1,12}$/.test(messages))
      throw new UsageError(`--quota-messages: "${messages}": a whole number, or none`);
    result.quotaMessages = messages === 'none' ? null : Number(messages);
  }
  return result;
}

const list = (value: unknown): string[] | undefined =>
  typeof value === 'string'
    ? value
        .split(',')
        .map((entry) => entry.trim().toLowerCase())
        .filter((entry) => entry !== '')
    : undefined;

const size = (bytes: number | null | undefined): string => (bytes == null ? 'none' : formatSize(bytes));

function human(account: AccountView): string {
  const { usage, spam } = account;
  return facts([
    ['address', account.address],
    ['id', account.id],
    ['enabled', account.enabled],
    ['created', formatTime(account.createdAt)],
    ['used', usage === null ? null : `${formatSize(usage.usedBytes)} in ${usage.usedMessages} messages`],
    ['quota', size(account.quotaBytes)],
    ['quota in messages', account.quotaMessages ?? 'none'],
    ['always allowed', spam.allow.join(', ')],
    ['always blocked', spam.block.join(', ')],
  ]);
}

const add: Verb = {
  name: 'add',
  args: ['ADDRESS'],
  summary: 'Makes an account. Its domain must be there (mailmesh domain add).',
  options: {
    'password-stdin': { type: 'boolean', doc: 'take the password from the first line of standard input' },
    ...QUOTA_OPTIONS,
  },
  examples: [
    'printf \'%s\\n\' "$PASSWORD" | mailmesh account add carol@mail.localhost --password-stdin --quota 5G',
    'mailmesh account add dave@mail.localhost --password-stdin < password.txt',
  ],
  async run(context) {
    if (context.flags['password-stdin'] !== true)
      throw new UsageError('account add wants --password-stdin, and the password on standard input');
    const limits = quotas(context);
    const password = await readPassword(context.io);
    const client = await context.client();
    const account = await client.call('account.create', { address: context.args[0]!, password, ...limits });
    context.show(account, () => `Added ${account.address} (${account.id}).`);
    return 0;
  },
};

const listVerb: Verb = {
  name: 'list',
  args: [],
  summary: 'Lists all accounts.',
  examples: ['mailmesh account list', "mailmesh account list --json | jq -r '.[].address'"],
  async run(context) {
    const client = await context.client();
    const accounts = await allPages((page) => client.call('account.list', page));
    context.show(accounts, () =>
      table(
        ['address', 'enabled', 'used', 'messages', 'quota', 'created'],
        accounts.map(({ address, enabled, usage, quotaBytes, createdAt }) => [
          address,
          enabled,
          usage === null ? null : formatSize(usage.usedBytes),
          usage === null ? 0 : usage.usedMessages,
          size(quotaBytes),
          formatTime(createdAt),
        ]),
      ),
    );
    return 0;
  },
};

const show: Verb = {
  name: 'show',
  args: ['ADDRESS'],
  summary: 'Shows one account, by address or id.',
  examples: ['mailmesh account show alice@mail.localhost'],
  async run(context) {
    const client = await context.client();
    context.show(await client.call('account.get', { account: context.args[0]! }), human);
    return 0;
  },
};

const set: Verb = {
  name: 'set',
  args: ['ADDRESS'],
  summary: 'Changes what is named and leaves the rest.',
  options: {
    ...QUOTA_OPTIONS,
    'password-stdin': { type: 'boolean', doc: 'take a new password from the first line of standard input' },
    enable: { type: 'boolean', doc: 'take mail and logins again' },
    disable: { type: 'boolean', doc: 'refuse mail and logins; what is there stays' },
    allow: { type: 'string', value: 'LIST', doc: 'senders never put into Junk: addresses or @domain, by commas' },
    block: { type: 'string', value: 'LIST', doc: 'senders always put into Junk' },
  },
  examples: [
    'mailmesh account set alice@mail.localhost --quota 10G',
    'mailmesh account set alice@mail.localhost --allow @example.org,news@example.com',
    'mailmesh account set bob@mail.localhost --disable',
  ],
  async run(context) {
    const { flags } = context;
    if (flags.enable === true && flags.disable === true) throw new UsageError('--enable or --disable, not both');
    const account = context.args[0]!;
    const client = await context.client();
    const [allow, block] = [list(flags.allow), list(flags.block)];
    const change: { -readonly [K in keyof Params<'account.update'>]: Params<'account.update'>[K] } = {
      account,
      ...quotas(context),
    };
    if (flags.enable === true || flags.disable === true) change.enabled = flags.enable === true;
    if (flags['password-stdin'] === true) change.password = await readPassword(context.io);
    if (allow !== undefined || block !== undefined) {
      const { spam } = await client.call('account.get', { account });
      change.spam = { allow: allow ?? spam.allow, block: block ?? spam.block };
    }
    if (Object.keys(change).length === 1) throw new UsageError('account set: name something to change (--help)');
    context.show(await client.call('account.update', change), human);
    return 0;
  },
};

const remove: Verb = {
  name: 'remove',
  args: ['ADDRESS'],
  summary: 'Removes an account with all of its mail.',
  options: { yes: { type: 'boolean', doc: 'do not ask (at a terminal)' } },
  examples: ['mailmesh account remove carol@mail.localhost --yes'],
  async run(context) {
    const account = context.args[0]!;
    confirm(context, `this deletes all mail of ${account}`);
    const client = await context.client();
    context.show(await client.call('account.remove', { account }), () => `Removed ${account}.`);
    return 0;
  },
};

export const command: Command = {
  name: 'account',
  summary: 'Accounts: who has mail here.',
  verbs: [add, listVerb, show, set, remove],
};
