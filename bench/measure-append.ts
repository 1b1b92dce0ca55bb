/** APPEND of 10 KB messages into one user's mailbox, each answered before the next is sent, on one connection and on four. */

import { createMailbox } from './fill.ts';
import { ImapClient } from './imap-client.ts';
import { cpuNote, type Figure, type Measurement, perSecond, repeat, type Setting, timed } from './measure.ts';
import { type System, userOf } from './system.ts';

const MAILBOX = 'Imported';

async function append(system: System, { scale, sources }: Setting, connections: number): Promise<Figure> {
  const user = userOf(system, 'importer');
  const clients = await Promise.all(
    Array.from({ length: connections }, () => ImapClient.open(system.ports.imap!, user)),
  );
  await createMailbox(clients[0]!, MAILBOX);
  let count = 0;
  const run = await timed(system, async () => {
    const calls = await Promise.all(
      clients.map((client) =>
        repeat(scale.loadMs, async () => {
          await client.append(MAILBOX, sources.small.next().bytes);
        }),
      ),
    );
    count = calls.reduce((sum, one) => sum + one, 0);
  });
  for (const client of clients) client.close();
  return { value: perSecond(count, run.ms), note: cpuNote(run, count, 'message') };
}

export const appending: Measurement = {
  name: 'append',
  rows: [
    { name: 'append-1', work: 'APPEND, 1 connection, 10 KB', unit: '/s', target: { atLeast: 450 } },
    { name: 'append-4', work: 'APPEND, 4 connections, 10 KB', unit: '/s', target: { atLeast: 800 } },
  ],
  peers: ['dovecot'],
  run: async (system, setting) => ({
    'append-1': await append(system, setting, 1),
    'append-4': await append(system, setting, 4),
  }),
};
