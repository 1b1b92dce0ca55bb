/** `mailmesh model`: versions of the spam model, which one decides, and how to go back. */

import { userInfo } from 'node:os';
import type { ModelInfo } from '../../core/ports/model-store.ts';
import type { Result } from '../../mixins/contracts.ts';
import { allPages, type Command, type Verb } from '../command.ts';
import { formatSize, formatTime } from '../format.ts';
import { facts, table } from '../table.ts';

const operator = (): string => `${userInfo().username} (mailmesh command)`;

function human(model: Result<'model.show'>): string {
  const metrics = Object.entries(model.metrics).map(([name, value]) => [`  ${name}`, String(value)] as const);
  return [
    facts([
      ['version', model.version],
      ['id', model.id],
      ['state', model.state],
      ['reason', model.reason],
      ['created', formatTime(model.createdAt)],
      ['size', formatSize(model.sizeBytes)],
      ['parent', model.parent],
      ['feature schema', model.schema],
      ['trained to label', model.trainedTo],
    ]),
    ...(metrics.length === 0 ? [] : ['metrics', facts(metrics)]),
    '',
    table(
      ['when', 'from', 'to', 'who', 'why'],
      model.events.map((event) => [formatTime(event.at), event.from, event.to, event.who, event.why]),
    ),
  ].join('\n');
}

const brief = (model: ModelInfo): string => `Version ${model.version} (${model.id.slice(0, 12)}) is ${model.state}.`;

const list: Verb = {
  name: 'list',
  args: [],
  summary: 'Lists the versions, newest first.',
  examples: ['mailmesh model list'],
  async run(context) {
    const client = await context.client();
    const models = await allPages((page) => client.call('model.list', page));
    context.show(models, () =>
      table(
        ['version', 'id', 'state', 'created', 'size', 'reason'],
        models.map((model) => [
          model.version,
          model.id.slice(0, 12),
          model.state,
          formatTime(model.createdAt),
          formatSize(model.sizeBytes),
          model.reason,
        ]),
      ),
    );
    return 0;
  },
};

const show: Verb = {
  name: 'show',
  args: ['MODEL'],
  summary: 'Shows one version with its figures and history: by version number, id, or the beginning of its id.',
  examples: ['mailmesh model show 3', 'mailmesh model show 9f86d081'],
  async run(context) {
    const client = await context.client();
    context.show(await client.call('model.show', { model: context.args[0]! }), human);
    return 0;
  },
};

const activate: Verb = {
  name: 'activate',
  args: ['MODEL'],
  summary: 'Makes a version the one that decides, also an older one (going back takes less than a second).',
  options: { why: { type: 'string', value: 'TEXT', doc: 'reason, kept in the history' } },
  examples: ['mailmesh model activate 2 --why "too many false positives since version 3"'],
  async run(context) {
    const client = await context.client();
    const why = typeof context.flags.why === 'string' ? context.flags.why : 'by hand';
    context.show(await client.call('model.activate', { model: context.args[0]!, who: operator(), why }), brief);
    return 0;
  },
};

const retrain: Verb = {
  name: 'retrain',
  args: [],
  summary: 'Trains a candidate now; it is activated when it is not worse.',
  examples: ['mailmesh model retrain'],
  async run(context) {
    const client = await context.client();
    context.show(await client.call('model.retrain', { who: operator() }), ({ model, outcome }) =>
      model === null ? outcome : `${outcome}\n${brief(model)}`,
    );
    return 0;
  },
};

export const command: Command = {
  name: 'model',
  summary: 'Versions of the spam model.',
  verbs: [list, show, activate, retrain],
};
