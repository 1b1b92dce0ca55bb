/** Accounts: who has mail here. */

import { randomBytes } from 'node:crypto';
import type { ServiceSchema } from 'moleculer';
import { normalizeAddress, parseAddress } from '../core/mail/address.ts';
import { ClientError } from '../core/mail/errors.ts';
import { type AccountId, type MailboxId, randomId } from '../core/mail/ids.ts';
import type { DirectoryAccount } from '../core/ports/directory.ts';
import type { Op } from '../core/ports/mail-store.ts';
import { hashPassword } from '../core/sasl/password.ts';
import { api, limitOf, optional, PAGE, pageFrom, size, text } from '../mixins/api.ts';
import { commit } from '../mixins/commit.ts';
import type { NodeContext } from '../mixins/context.ts';
import type { AccountView } from '../mixins/contracts.ts';
import { findAccount } from '../mixins/find-message.ts';
import { startMailboxes } from '../mixins/start-mailboxes.ts';

/** NIST SP 800-63B §5.1.1.2 asks for 8 or more; whoever sets passwords by script may have its reasons for less. */
const PASSWORD_MAX = 1024;
const UPDATE_TRIES = 3;

const view = async ({ stores }: NodeContext, account: DirectoryAccount): Promise<AccountView> => ({
  ...account,
  usage: (await stores.mail.account(account.id)) ?? null,
});

const quota = optional({ ...size, nullable: true });
const password = text({ max: PASSWORD_MAX });
const account = text();
const names = { type: 'array', max: 10_000, items: text({ max: 320 }) };

export const service: ServiceSchema = {
  name: 'account',
  actions: {
    create: api(
      'account.create',
      { rest: 'POST /v1/accounts', scope: 'admin', summary: 'Make an account', answer: 'Account', creates: true },
      { address: text({ max: 320 }), password, quotaBytes: quota, quotaMessages: quota },
      async (params, context, ctx) => {
        const { stores, config } = context;
        const parsed = parseAddress(params.address, { smtputf8: true });
        if (parsed === null || parsed.domain === '' || parsed.domain.startsWith('['))
          throw new ClientError('addressSyntax', { address: params.address });
        const address = normalizeAddress(parsed);
        const domain = address.slice(address.lastIndexOf('@') + 1);
        if ((await stores.directory.domain(domain)) === undefined)
          throw new ClientError('notFound', { what: 'domain', domain });
        const entry: DirectoryAccount = {
          id: randomId<AccountId>(randomBytes(16)),
          address,
          enabled: true,
          quotaBytes: params.quotaBytes === undefined ? config.quotaDefaultBytes : params.quotaBytes,
          quotaMessages: params.quotaMessages === undefined ? config.quotaDefaultMessages : params.quotaMessages,
          createdAt: context.now(),
          rev: 1,
          spam: { allow: [], block: [] },
        };
        const mailboxes = startMailboxes(() => randomId<MailboxId>(randomBytes(16)));
        // Mailboxes first: an account that can log in has them. One without an address is found by nobody.
        await stores.mail.createAccount({
          account: entry.id,
          quotaBytes: entry.quotaBytes,
          quotaMessages: entry.quotaMessages,
          mailboxes,
        });
        try {
          // Clients that show only what is subscribed show these.
          await commit(ctx.broker, {
            account: entry.id,
            ops: mailboxes.map(({ name }): Op => ({ t: 'subscribe', name, subscribed: true })),
            session: ctx.requestID ?? ctx.id,
            by: 'filter',
          });
          await stores.directory.addAccount(entry, await hashPassword(params.password, randomBytes(16)));
        } catch (error) {
          await stores.mail.deleteAccount(entry.id);
          throw error;
        }
        return view(context, entry);
      },
    ),
    list: api(
      'account.list',
      { rest: 'GET /v1/accounts', scope: 'read', summary: 'Accounts by address', answer: 'Account', page: true },
      PAGE,
      async (params, context) => {
        const found = await context.stores.directory.accounts(params.cursor ?? null, limitOf(params) + 1);
        const page = pageFrom(found, (entry) => entry.address, params);
        return { items: await Promise.all(page.items.map((entry) => view(context, entry))), cursor: page.cursor };
      },
    ),
    get: api(
      'account.get',
      { rest: 'GET /v1/accounts/:account', scope: 'read', summary: 'One account by address or id', answer: 'Account' },
      { account },
      async (params, context) => view(context, await findAccount(context.stores.directory, params.account)),
    ),
    update: api(
      'account.update',
      {
        rest: 'PATCH /v1/accounts/:account',
        scope: 'admin',
        summary: 'Change password, quota, state or spam lists',
        answer: 'Account',
      },
      {
        account,
        enabled: optional({ type: 'boolean', convert: true }),
        quotaBytes: quota,
        quotaMessages: quota,
        password: optional(password),
        spam: optional({ type: 'object', strict: true, props: { allow: names, block: names } }),
      },
      async (params, context) => {
        const { directory, mail } = context.stores;
        for (let tries = 1; ; tries++) {
          const before = await findAccount(directory, params.account);
          const lower = (list: readonly string[]): string[] => list.map((name) => name.toLowerCase());
          const after: DirectoryAccount = {
            ...before,
            enabled: params.enabled ?? before.enabled,
            quotaBytes: params.quotaBytes === undefined ? before.quotaBytes : params.quotaBytes,
            quotaMessages: params.quotaMessages === undefined ? before.quotaMessages : params.quotaMessages,
            spam:
              params.spam === undefined
                ? before.spam
                : { allow: lower(params.spam.allow), block: lower(params.spam.block) },
          };
          if (await directory.updateAccount(after)) {
            await mail.setQuota(after.id, after.quotaBytes, after.quotaMessages);
            if (params.password !== undefined)
              await directory.setCredential(after.id, await hashPassword(params.password, randomBytes(16)));
            return view(context, await findAccount(directory, after.id));
          }
          if (tries === UPDATE_TRIES) throw new ClientError('conflict', { account: params.account });
        }
      },
    ),
    remove: api(
      'account.remove',
      { rest: 'DELETE /v1/accounts/:account', scope: 'admin', summary: 'Remove an account and all of its mail' },
      { account },
      async (params, { stores }) => {
        const { id } = await findAccount(stores.directory, params.account);
        // The name first: from then on nobody logs in and no mail is accepted for it.
        await stores.directory.removeAccount(id);
        await stores.mail.deleteAccount(id);
        await stores.search.removeAccount(id);
        await stores.samples.forgetUser(id);
        return { removed: true };
      },
    ),
  },
};
