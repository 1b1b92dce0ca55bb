/** Messages for administrators: lists, parsed views, search, labels, and putting one into a mailbox. */

import type { ServiceSchema } from 'moleculer';
import { ClientError } from '../core/mail/errors.ts';
import { flagSet } from '../core/mail/flags.ts';
import { blobRef } from '../core/mail/ids.ts';
import { readLayout, wholeBlob } from '../core/mail/layout.ts';
import { describeMessage, toContentInput } from '../core/mime/describe.ts';
import type { Op } from '../core/ports/mail-store.ts';
import { api, limitOf, numberCursor, optional, PAGE, pageFrom, size, text } from '../mixins/api.ts';
import { commit } from '../mixins/commit.ts';
import { findAccount, findMailbox, findMessage } from '../mixins/find-message.ts';
import { newestRows, summarizeRows, viewMessage } from '../mixins/message-page.ts';
import { searchMessages } from '../mixins/message-search.ts';

const account = text();
const mailbox = text();
const uid = { type: 'number', integer: true, min: 1, max: 0xffff_ffff, convert: true };
const MESSAGES = '/v1/accounts/:account/mailboxes/:mailbox/messages';

export const service: ServiceSchema = {
  name: 'message',
  actions: {
    list: api(
      'message.list',
      {
        rest: `GET ${MESSAGES}`,
        scope: 'read',
        summary: 'Messages, newest first',
        answer: 'MessageSummary',
        page: true,
      },
      { ...PAGE, account, mailbox },
      async (params, { stores }) => {
        const { id } = await findAccount(stores.directory, params.account);
        const found = await findMailbox(stores.mail, id, params.mailbox);
        const before = numberCursor(params, Number.POSITIVE_INFINITY);
        const rows = await newestRows(stores, id, found, before, limitOf(params) + 1);
        const page = pageFrom(rows, (row) => String(row.uid), params);
        return { items: await summarizeRows(stores, id, page.items, () => found.name), cursor: page.cursor };
      },
    ),
    get: api(
      'message.get',
      { rest: `GET ${MESSAGES}/:uid`, scope: 'read', summary: 'One message, parsed', answer: 'Message' },
      { account, mailbox, uid },
      async (params, { stores }) =>
        viewMessage(
          stores,
          await findMessage(stores, params.account, params.mailbox, params.uid, [
            ...(['layout', 'size', 'messageId', 'origin'] as const),
          ]),
        ),
    ),
    search: api(
      'message.search',
      {
        rest: 'GET /v1/accounts/:account/search',
        scope: 'read',
        summary: 'Messages whose text holds all words of the query, newest first',
        answer: 'MessageSummary',
        page: true,
      },
      { ...PAGE, account, query: text({ max: 500 }), mailbox: optional(mailbox) },
      async (params, { stores }) => {
        const { id } = await findAccount(stores.directory, params.account);
        return searchMessages(stores, id, params);
      },
    ),
    label: api(
      'message.label',
      {
        rest: `POST ${MESSAGES}/:uid/label`,
        scope: 'admin',
        summary:
          'Say for the user that a message is spam or ham, or take that back; it moves as if the user had moved it',
      },
      { account, mailbox, uid, label: { type: 'enum', values: ['spam', 'ham', 'withdrawn'] } },
      async (params, { stores }, ctx) => {
        const found = await findMessage(stores, params.account, params.mailbox, params.uid, ['size']);
        const mailboxes = await stores.mail.mailboxes(found.account.id);
        const inJunk = found.mailbox.role === 'junk';
        const role = params.label === 'spam' && !inJunk ? 'junk' : params.label === 'ham' && inJunk ? 'inbox' : null;
        const to = mailboxes.find((one) => role !== null && one.role === role);
        const uids = Uint32Array.of(params.uid);
        const move: readonly Op[] = to === undefined ? [] : [{ t: 'move', from: found.mailbox.id, uids, to: to.id }];
        await commit(ctx.broker, {
          account: found.account.id,
          ops: move,
          session: ctx.requestID ?? ctx.id,
          by: 'user',
          label: { mailbox: found.mailbox.id, uids, label: params.label },
        });
        return { label: params.label };
      },
    ),
    append: api(
      'message.append',
      { scope: 'admin', summary: 'Put a stored blob into a mailbox' },
      {
        account,
        mailbox,
        blob: text({ length: 64 }),
        sizeBytes: size,
        flags: optional({ type: 'array', max: 100, items: text({ max: 100 }) }),
        internalDate: optional({ type: 'number', integer: true }),
        dedupe: optional(text({ max: 200 })),
      },
      async (params, { stores, now }, ctx) => {
        const { id } = await findAccount(stores.directory, params.account);
        const found = await findMailbox(stores.mail, id, params.mailbox);
        const layout = wholeBlob(blobRef(params.blob), params.sizeBytes);
        const content = toContentInput(await describeMessage(readLayout(stores.blobs, layout)), layout, '');
        const { results } = await commit(ctx.broker, {
          account: id,
          ops: [
            {
              t: 'append',
              mailbox: found.id,
              content,
              flags: flagSet(params.flags ?? []),
              internalDate: params.internalDate ?? Math.floor(now() / 1000),
              quota: 'enforce',
              ...(params.dedupe === undefined ? {} : { dedupe: params.dedupe }),
            },
          ],
          session: ctx.requestID ?? ctx.id,
          by: 'filter',
        });
        const result = results[0]!;
        if (!result.ok) throw new ClientError(result.why === 'quota' ? 'overQuota' : 'notFound', { what: 'mailbox' });
        if (result.t !== 'append') throw new ClientError('invalid');
        return { mailbox: found.name, uid: result.uid, duplicate: result.duplicate };
      },
    ),
  },
};
