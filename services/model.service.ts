/** Models: which there are, which is active, going back, and training a new one now. */

import type { ServiceSchema } from 'moleculer';
import { ClientError } from '../core/mail/errors.ts';
import { accountId } from '../core/mail/ids.ts';
import type { ModelInfo } from '../core/ports/model-store.ts';
import { api, limitOf, numberCursor, optional, PAGE, pageFrom, pageOf, text } from '../mixins/api.ts';
import type { NodeContext } from '../mixins/context.ts';
import { call } from '../mixins/contracts.ts';
import { findAccount } from '../mixins/find-message.ts';
import { emitModelActivated } from '../mixins/hints.ts';

const EVENTS_MAX = 200;

/** By version number, id, or a prefix of the id that only one has. */
async function findModel({ stores }: NodeContext, wanted: string): Promise<ModelInfo> {
  const models = await stores.models.list();
  const version = /^v?(\d{1,9})$/.exec(wanted)?.[1];
  const found = models.filter((model) =>
    version === undefined ? model.id.startsWith(wanted) : model.version === Number(version),
  );
  if (found.length !== 1) throw new ClientError('notFound', { what: 'model', model: wanted });
  return found[0]!;
}

const model = text({ max: 64 });
const who = text({ max: 100 });

export const service: ServiceSchema = {
  name: 'model',
  actions: {
    list: api(
      'model.list',
      { rest: 'GET /v1/models', scope: 'read', summary: 'Models, newest first', answer: 'Model', page: true },
      PAGE,
      async (params, { stores }) => pageOf(await stores.models.list(), (one) => one.id, params),
    ),
    show: api(
      'model.show',
      { rest: 'GET /v1/models/:model', scope: 'read', summary: 'One model and its history', answer: 'ModelHistory' },
      { model },
      async (params, context) => {
        const found = await findModel(context, params.model);
        const events = await context.stores.models.events(EVENTS_MAX);
        return { ...found, events: events.filter((event) => event.model === found.id) };
      },
    ),
    activate: api(
      'model.activate',
      { rest: 'POST /v1/models/:model/activate', scope: 'admin', summary: 'Score with this model', answer: 'Model' },
      { model, who, why: text({ max: 500 }) },
      async (params, context, ctx) => {
        const found = await findModel(context, params.model);
        const active = await context.stores.models.activate(found.id, params.who, params.why, context.now());
        emitModelActivated(ctx.broker);
        return active;
      },
    ),
    retrain: api(
      'model.retrain',
      {
        rest: 'POST /v1/models-retrain',
        scope: 'admin',
        summary: 'Train a candidate from all labels now and put it through the gate',
        answer: 'Retrained',
        long: true,
      },
      { who },
      (params, _, ctx) => call(ctx.broker, 'trainer.train', { who: params.who }, { timeoutMs: 0 }),
    ),
    labels: api(
      'model.labels',
      {
        rest: 'GET /v1/labels',
        scope: 'read',
        summary: 'Labels that users gave, oldest first',
        answer: 'Label',
        page: true,
      },
      { ...PAGE, account: optional(text()) },
      async (params, { stores }) => {
        const account =
          params.account === undefined ? undefined : (await findAccount(stores.directory, params.account)).id;
        const found = await stores.samples.labels({
          after: numberCursor(params, 0),
          limit: limitOf(params) + 1,
          ...(account === undefined ? {} : { account: accountId(account) }),
        });
        return pageFrom(found, (label) => String(label.seq), params);
      },
    ),
  },
};
