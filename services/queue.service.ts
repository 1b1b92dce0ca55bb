/** What waits for what, and how operators help: the queue's records by REST and command. */

import type { ServiceSchema } from 'moleculer';
import { STAGES } from '../core/filter/verdict.ts';
import { ClientError } from '../core/mail/errors.ts';
import type { QueueId } from '../core/mail/ids.ts';
import { api, limitOf, optional, PAGE, pageFrom, text } from '../mixins/api.ts';

const id = text({ max: 40 });
const stage = optional({ type: 'enum', values: [...STAGES] });
const none = (what: string): ClientError => new ClientError('notFound', { what: 'queued message', id: what });

export const service: ServiceSchema = {
  name: 'queue',
  actions: {
    list: api(
      'queue.list',
      { rest: 'GET /v1/queue', scope: 'read', summary: 'Messages, newest first', answer: 'MessageRecord', page: true },
      {
        ...PAGE,
        state: optional({ type: 'enum', values: ['queued', 'done', 'dead', 'refused', 'dropped'] }),
        stage,
      },
      async (params, { stores }) => {
        const found = await stores.queue.list({
          ...(params.state === undefined ? {} : { states: [params.state] }),
          ...(params.stage === undefined ? {} : { stage: params.stage }),
          ...(params.cursor === undefined ? {} : { cursor: params.cursor as QueueId }),
          limit: limitOf(params) + 1,
        });
        return pageFrom(found, (record) => record.queueId, params);
      },
    ),
    show: api(
      'queue.show',
      {
        rest: 'GET /v1/queue/:id',
        scope: 'read',
        summary: 'One message: what waits for what',
        answer: 'MessageRecord',
      },
      { id },
      async (params, { stores }) => {
        const record = await stores.queue.show(params.id as QueueId);
        if (record === undefined) throw none(params.id);
        return record;
      },
    ),
    retry: api(
      'queue.retry',
      { rest: 'POST /v1/queue/:id/retry', scope: 'admin', summary: 'Try waiting and dead jobs now' },
      { id, stage },
      async (params, { stores }) => {
        const jobs = await stores.queue.retry(params.id as QueueId, params.stage);
        if (jobs === 0) throw none(params.id);
        return { jobs };
      },
    ),
    drop: api(
      'queue.drop',
      { rest: 'DELETE /v1/queue/:id', scope: 'admin', summary: 'Give a message up; its trace stays' },
      { id, why: text({ max: 500 }) },
      async (params, { stores }) => {
        if (!(await stores.queue.drop(params.id as QueueId, params.why))) throw none(params.id);
        return { dropped: true };
      },
    ),
    depth: api(
      'queue.depth',
      { rest: 'GET /v1/queue-depth', scope: 'read', summary: 'Jobs by stage and state', answer: 'QueueDepth' },
      {},
      (_, { stores, now }) => stores.queue.depth(now()),
    ),
  },
};
