/** `mailmesh export`: writes an account's mail into files. */

import { resolve } from 'node:path';
import { listMessages, type MeshClient } from '../client.ts';
import type { Command, Context, Verb } from '../command.ts';
import { CommandError, oneLine } from '../errors.ts';
import { formatSize, formatSpan, printable } from '../format.ts';
import { type ExportFormat, ExportState } from '../mail/export-state.ts';
import { type Entry, WRITERS } from '../mail/export-writers.ts';
import { Progress } from '../progress.ts';
import { exportInstallation } from './transfer.ts';

interface ExportReport {
  written: number;
  skipped: number;
  bytes: number;
  readonly failed: { readonly mailbox: string; readonly uid: number; readonly why: string }[];
}

async function entriesOf(client: MeshClient, account: string, mailbox: string): Promise<Entry[]> {
  const entries: Entry[] = [];
  for await (const { uid, flags, sizeBytes, receivedAt } of listMessages(client, account, mailbox))
    entries.push({ uid, flags, sizeBytes, receivedAt });
  return entries.sort((a, b) => a.uid - b.uid);
}

async function exportTo(context: Context, format: ExportFormat): Promise<number> {
  const folder = resolve(context.args[1]!);
  const client = await context.client();
  const { id, address } = await client.call('account.get', { account: context.args[0]! });
  const all = (await client.call('folder.list', { account: id })).items;
  const wanted = all.filter(({ name }) => context.flags.mailbox === undefined || name === context.flags.mailbox);
  if (wanted.length === 0) throw new CommandError(`${address} has no mailbox "${context.flags.mailbox}"`);
  const state = await ExportState.open(folder, format, id);
  const report: ExportReport = { written: 0, skipped: 0, bytes: 0, failed: [] };
  const progress = new Progress({
    label: `Exporting ${address}`,
    total: { unit: 'messages', count: wanted.reduce((sum, { total }) => sum + total, 0), done: 0 },
    stream: context.io.err,
    now: context.io.now,
  });
  try {
    for (const { name, uidValidity } of wanted) {
      const writer = await WRITERS[format](folder, name, uidValidity, state);
      try {
        for (const entry of await entriesOf(client, id, name)) {
          if (await writer.has(entry)) {
            report.skipped += 1;
            progress.add(1, 0);
            continue;
          }
          try {
            await writer.write(entry, client.readMessage(id, name, entry.uid));
            report.written += 1;
            report.bytes += entry.sizeBytes;
          } catch (error) {
            // A message that can't be read (expunged meanwhile, damaged) is told and the others go on.
            const why = oneLine(error);
            if (why === undefined || typeof (error as NodeJS.ErrnoException).code === 'string') throw error;
            report.failed.push({ mailbox: name, uid: entry.uid, why });
          }
          progress.add(1, entry.sizeBytes);
        }
      } finally {
        await writer.end();
      }
    }
  } finally {
    progress.end();
  }
  const ms = progress.end();
  context.show({ account: address, folder, format, ...report, ms }, () =>
    [
      ...report.failed.map(({ mailbox, uid, why }) => `  failed: ${printable(`${mailbox} uid ${uid}: ${why}`)}`),
      `Exported ${report.written} messages (${formatSize(report.bytes)}) to ${folder} in ${formatSpan(ms)}; ${report.skipped} were there already, ${report.failed.length} failed.`,
    ].join('\n'),
  );
  return report.failed.length === 0 ? 0 : 1;
}

const verb = (name: ExportFormat, summary: string, notes: readonly string[]): Verb => ({
  name,
  args: ['ACCOUNT', 'FOLDER'],
  summary,
  notes: [...notes, 'Run again with the same folder it goes on where it was, and adds what is new.'],
  options: { mailbox: { type: 'string', value: 'NAME', doc: 'only this mailbox' } },
  examples: [
    `mailmesh export ${name} alice@mail.localhost ./export`,
    `mailmesh export ${name} alice@mail.localhost ./inbox --mailbox INBOX`,
  ],
  run: (context) => exportTo(context, name),
});

export const command: Command = {
  name: 'export',
  summary: "Writes an account's mail into files. Resumable.",
  verbs: [
    verb('mbox', 'One mbox file for each mailbox.', [
      'Lines that begin with "From " are quoted as in mboxrd. Flags are not kept; a message that ends without a line end gets one.',
    ]),
    verb('maildir', 'A Maildir++ folder, with flags.', ['Every message is kept byte for byte.']),
    verb('eml', 'One .eml file for each message, in a folder for each mailbox.', [
      'Every message is kept byte for byte; flags are not kept.',
    ]),
    exportInstallation,
  ],
};
