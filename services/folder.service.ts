/** An account's mailboxes, for administrators. (Moleculer's service `mailbox` is the actor that writes them.) */

import { randomBytes } from 'node:crypto';
import type { ServiceSchema } from 'moleculer';
import { checkMailboxName } from '../core/imap/mailbox-name.ts';
import { ClientError } from '../core/mail/errors.ts';
import { type MailboxId, randomId } from '../core/mail/ids.ts';
import { api, text } from '../mixins/api.ts';
import { commit } from '../mixins/commit.ts';
import { findAccount, findMailbox } from '../mixins/find-message.ts';

const account = text();
const name = text();

export const service: ServiceSchema = {
  name: 'folder',
  actions: {
    list: api(
      'folder.list',
      {
        rest: 'GET /v1/accounts/:account/mailboxes',
        scope: 'read',
        summary: 'Mailboxes with their counts',
        answer: 'Mailbox',
        page: true,
      },
      { account },
      async (params, { stores }) => {
        const { id } = await findAccount(stores.directory, params.account);
        return { items: await stores.mail.mailboxes(id), cursor: null };
      },
    ),
    create: api(
      'folder.create',
      {
        rest: 'POST /v1/accounts/:account/mailboxes',
        scope: 'admin',
        summary: 'Make a mailbox',
        answer: 'Mailbox',
        creates: true,
      },
      { account, name },
      async (params, { stores }, ctx) => {
        const { id } = await findAccount(stores.directory, params.account);
        const wanted = params.name.normalize('NFC');
        checkMailboxName(wanted);
        const { results } = await commit(ctx.broker, {
          account: id,
          ops: [{ t: 'createMailbox', id: randomId<MailboxId>(randomBytes(16)), name: wanted, role: null }],
          session: ctx.requestID ?? ctx.id,
          by: 'user',
        });
        if (!results[0]!.ok) throw new ClientError('mailboxExists', { what: 'mailbox', mailbox: wanted });
        return findMailbox(stores.mail, id, wanted);
      },
    ),
    remove: api(
      'folder.remove',
      {
        rest: 'DELETE /v1/accounts/:account/mailboxes/:mailbox',
        scope: 'admin',
        summary: 'Remove a mailbox and its messages',
      },
      { account, mailbox: name },
      async (params, { stores }, ctx) => {
        const { id } = await findAccount(stores.directory, params.account);
        const mailbox = await findMailbox(stores.mail, id, params.mailbox);
        if (mailbox.role === 'inbox') throw new ClientError('mailboxName', { mailbox: mailbox.name });
        await commit(ctx.broker, {
          account: id,
          ops: [{ t: 'deleteMailbox', mailbox: mailbox.id }],
          session: ctx.requestID ?? ctx.id,
          by: 'user',
        });
        return { removed: true };
      },
    ),
  },
};
