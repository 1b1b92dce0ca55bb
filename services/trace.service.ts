/** Where is my mail, and why: a message's way from its connection to its mailbox, or to its refusal. */

import type { ServiceSchema } from 'moleculer';
import { ClientError } from '../core/mail/errors.ts';
import type { QueueId } from '../core/mail/ids.ts';
import { api, text } from '../mixins/api.ts';

export const service: ServiceSchema = {
  name: 'trace',
  actions: {
    find: api(
      'trace.find',
      {
        rest: 'GET /v1/traces/:id',
        scope: 'read',
        summary: "A message's way, by queue id or Message-ID",
        answer: 'MessageRecord',
        page: true,
      },
      { id: text() },
      async (params, { stores }) => {
        const id = params.id.trim();
        const record = await stores.queue.show(id as QueueId);
        const bracketed = id.startsWith('<') ? id : `<${id}>`;
        const items = record === undefined ? await stores.queue.findByMessageId(bracketed) : [record];
        if (items.length === 0) throw new ClientError('notFound', { what: 'trace', id });
        return { items, cursor: null };
      },
    ),
  },
};
