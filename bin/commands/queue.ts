/** `mailmesh queue`: messages that are on their way or stuck on it. */

import { STAGES, type Stage } from '../../core/filter/verdict.ts';
import type { JobInfo, MessageRecord, MessageState } from '../../core/ports/queue.ts';
import { allPages, type Command, type Context, confirm, type Verb } from '../command.ts';
import { UsageError } from '../errors.ts';
import { formatTime } from '../format.ts';
import { table } from '../table.ts';
import { describeWay } from '../way.ts';

const STATES: readonly MessageState[] = ['queued', 'done', 'dead', 'refused', 'dropped'];

function oneOf<T extends string>({ flags }: Context, name: string, values: readonly T[]): T | undefined {
  const value = flags[name];
  if (value === undefined) return undefined;
  const found = values.find((candidate) => candidate === value);
  if (found === undefined) throw new UsageError(`--${name}: "${value}": one of ${values.join(', ')}`);
  return found;
}

const open = (job: JobInfo): boolean => job.state !== 'done' && job.state !== 'blocked';

function row(record: MessageRecord): (string | number | null)[] {
  const { accepted } = record;
  const jobs = record.jobs.filter(open);
  const due = Math.min(...jobs.filter((job) => job.state === 'waiting').map((job) => job.dueAt));
  return [
    record.queueId,
    record.state,
    formatTime(accepted?.acceptedAt ?? record.refused?.refusedAt ?? null),
    accepted?.envelope.sender ?? record.refused?.sender ?? null,
    accepted?.envelope.recipients.map(({ address }) => address).join(', ') ??
      record.refused?.recipients.join(', ') ??
      null,
    jobs.map((job) => `${job.stage} ${job.state}`).join(', '),
    Number.isFinite(due) ? formatTime(due) : null,
    jobs.find((job) => job.lastError !== null)?.lastError ?? record.refused?.reply ?? null,
  ];
}

const list: Verb = {
  name: 'list',
  args: [],
  summary: 'Lists messages that are queued or dead (gave up), newest first.',
  options: {
    state: { type: 'string', value: 'STATE', doc: `instead only those that are ${STATES.join(', ')}` },
    stage: { type: 'string', value: 'STAGE', doc: `only those with an open job of ${STAGES.join(', ')}` },
  },
  examples: ['mailmesh queue list', 'mailmesh queue list --state dead', 'mailmesh queue list --stage spam --json'],
  async run(context) {
    const state = oneOf(context, 'state', STATES);
    const stage = oneOf<Stage>(context, 'stage', STAGES);
    const client = await context.client();
    const records: MessageRecord[] = [];
    for (const wanted of state === undefined ? (['queued', 'dead'] as const) : [state]) {
      const filter = { state: wanted, ...(stage === undefined ? {} : { stage }) };
      records.push(...(await allPages((page) => client.call('queue.list', { ...filter, ...page }))));
    }
    records.sort((a, b) => (a.queueId < b.queueId ? 1 : -1));
    context.show(records, () =>
      records.length === 0
        ? 'The queue is empty.'
        : table(['id', 'state', 'since', 'from', 'to', 'open', 'next try', 'last error'], records.map(row)),
    );
    return 0;
  },
};

const show: Verb = {
  name: 'show',
  args: ['ID'],
  summary: 'Shows one message: what waits for what, and until when.',
  examples: ['mailmesh queue show 1j5x0k2c7abcdefg'],
  async run(context) {
    const client = await context.client();
    const record = await client.call('queue.show', { id: context.args[0]! });
    context.show(record, () => describeWay(record, context.io.now()));
    return 0;
  },
};

const retry: Verb = {
  name: 'retry',
  args: ['ID'],
  summary: 'Tries waiting and dead jobs of a message again, now.',
  options: { stage: { type: 'string', value: 'STAGE', doc: `only ${STAGES.join(', ')}` } },
  examples: ['mailmesh queue retry 1j5x0k2c7abcdefg'],
  async run(context) {
    const stage = oneOf<Stage>(context, 'stage', STAGES);
    const id = context.args[0]!;
    const client = await context.client();
    const result = await client.call('queue.retry', stage === undefined ? { id } : { id, stage });
    context.show(result, ({ jobs }) =>
      jobs === 0 ? 'Nothing waited.' : `${jobs} job${jobs === 1 ? '' : 's'} made ready.`,
    );
    return 0;
  },
};

const drop: Verb = {
  name: 'drop',
  args: ['ID'],
  summary: 'Gives a message up: it is not delivered; its trace stays.',
  options: {
    why: { type: 'string', value: 'TEXT', doc: 'reason, kept in the trace' },
    yes: { type: 'boolean', doc: 'do not ask (at a terminal)' },
  },
  examples: ['mailmesh queue drop 1j5x0k2c7abcdefg --why "test message" --yes'],
  async run(context) {
    const id = context.args[0]!;
    confirm(context, `this loses message ${id}`);
    const why = typeof context.flags.why === 'string' ? context.flags.why : 'dropped by the operator';
    const client = await context.client();
    context.show(await client.call('queue.drop', { id, why }), () => `Dropped ${id}.`);
    return 0;
  },
};

export const command: Command = {
  name: 'queue',
  summary: 'Messages that are on their way or stuck on it.',
  verbs: [list, show, retry, drop],
};
