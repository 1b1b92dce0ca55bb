/** `mailmesh import --from` and `mailmesh export --to`: a whole installation of one machine into a mesh, and back. */

import { readdir } from 'node:fs/promises';
import { resolve } from 'node:path';
import { folderKind } from '../../mixins/backup-folder.ts';
import type { TransferReport } from '../../mixins/transfer.ts';
import type { Context, Verb } from '../command.ts';
import { CommandError, UsageError } from '../errors.ts';
import { formatSize, formatSpan, printable } from '../format.ts';
import { Progress } from '../progress.ts';
import { SAME_SIGNAL_MS } from './start.ts';

const SHOWN = 20;

function human(report: TransferReport, ms: number): string {
  const { accounts, messages, messagesKnown, blobs, bytes, records, labels, models, damagedCount, damaged, busy } =
    report;
  const listed = damaged.slice(0, SHOWN).map(({ what, detail }) => `  damaged: ${printable(`${what}: ${detail}`)}`);
  return [
    ...listed,
    ...(damagedCount > listed.length ? [`  and ${damagedCount - listed.length} more`] : []),
    `Took ${accounts} accounts with ${messages} messages over in ${formatSpan(ms)} (${formatSize(bytes)} in ${blobs} blobs); ${messagesKnown} messages were there already.`,
    `Also ${records} records of the queue, ${labels} labels and ${models} models.`,
    ...(busy.length === 0 ? [] : [`${busy.length} accounts were in use: run it again.`]),
  ].join('\n');
}

/** Files of a data folder that has just been begun do not count. */
async function hasOthersFiles(folder: string): Promise<boolean> {
  const files = await readdir(folder).catch(() => []);
  return files.some((name) => !name.startsWith('lock.db'));
}

async function run(context: Context, direction: 'in' | 'out', folder: string): Promise<number> {
  const config = await context.config();
  if (config.mongoUrl === null)
    throw new CommandError('this is for a mesh: set MAILMESH_MONGO_URL and MAILMESH_NATS_URL');
  const kind = await folderKind(folder);
  if (kind === 'mesh')
    throw new CommandError(`${folder} is the backup of a mesh: a mesh without accounts takes it by mailmesh restore`);
  if (kind === 'unfinished') throw new CommandError(`${folder} is a backup that was cut off before it was whole`);
  if (direction === 'in' && kind === 'other') throw new CommandError(`${folder} is no data folder of Mailmesh`);
  if (direction === 'out' && kind === 'other' && (await hasOthersFiles(folder)))
    throw new CommandError(`${folder} is not empty, and no data folder of Mailmesh`);
  // Loaded only here: it brings the stores of both kinds.
  const { runTransfer } = await import('../../mixins/transfer-run.ts');
  const stop = new AbortController();
  let first: number | undefined;
  const onSignal = (): void => {
    const now = context.io.now();
    // Whatever is cut off is gone on with.
    if (first !== undefined && now - first >= SAME_SIGNAL_MS) process.exit(1);
    if (first !== undefined) return;
    first = now;
    stop.abort();
    context.io.err.write('mailmesh: stopping when this account is done (once more: at once)\n');
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  let told = { messages: 0, bytes: 0 };
  const progress = new Progress({
    label: direction === 'in' ? `Importing ${folder}` : `Exporting to ${folder}`,
    total: { unit: 'messages', count: 0, done: 0 },
    stream: context.io.err,
    now: context.io.now,
  });
  try {
    const report = await runTransfer({
      ...{ config, folder, direction, signal: stop.signal },
      progress: ({ messages, messagesInAll, bytes }) => {
        progress.expect(messagesInAll);
        progress.add(messages - told.messages, bytes - told.bytes);
        told = { messages, bytes };
      },
    });
    const ms = progress.end();
    context.show({ ...report, ms }, () => human(report, ms));
    if (stop.signal.aborted) throw new CommandError('stopped; run it again to go on');
    return report.damagedCount > 0 || report.busy.length > 0 ? 1 : 0;
  } finally {
    progress.end();
    process.off('SIGINT', onSignal);
    process.off('SIGTERM', onSignal);
  }
}

function folderOf({ flags }: Context, option: string): string {
  const folder = flags[option];
  if (typeof folder !== 'string') throw new UsageError(`--${option} wants a data folder`);
  return resolve(folder);
}

const NOTE =
  'It may be interrupted, and run again for 7 days: what is there is left as it is. No server may run on the folder. Passwords, aliases, queued mail, labels and models come along; the search index fills itself.';

export const importInstallation: Verb = {
  name: '',
  args: [],
  summary: 'Takes everything of an installation of one machine into the mesh.',
  notes: [NOTE],
  options: { from: { type: 'string', value: 'DATA_DIR', doc: 'data folder of that installation' } },
  examples: ['mailmesh import --from /srv/mail'],
  run: async (context) => run(context, 'in', folderOf(context, 'from')),
};

export const exportInstallation: Verb = {
  name: '',
  args: [],
  summary: 'Takes everything of the mesh into a data folder of one machine. Nothing should be written meanwhile.',
  notes: [NOTE],
  options: { to: { type: 'string', value: 'DATA_DIR', doc: 'data folder; it may be new' } },
  examples: ['mailmesh export --to /srv/mail'],
  run: async (context) => run(context, 'out', folderOf(context, 'to')),
};
