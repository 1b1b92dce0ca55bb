/** POP3: one session fetches every message of its maildrop, over and over, each answered before the next is asked for. */

import { fillByAppend } from './fill.ts';
import { cpuNote, type Measurement, perSecond, repeat, timed } from './measure.ts';
import { Pop3Client } from './pop3-client.ts';
import { userOf } from './system.ts';

const MESSAGES = 500;

export const retrieving: Measurement = {
  name: 'pop3',
  rows: [{ name: 'pop3-retr', work: 'POP3 RETR, 1 connection, 10 KB', unit: '/s', target: { atLeast: 4000 } }],
  peers: ['dovecot'],
  async run(system, { scale, sources }) {
    const user = userOf(system, 'pop');
    await fillByAppend(system, user, { mailbox: 'INBOX', count: MESSAGES, source: sources.small });
    const client = await Pop3Client.open(system.ports.pop3!, user);
    for (let i = 1; i <= MESSAGES; i++) await client.retrieve(i);
    let calls = 0;
    const run = await timed(system, async () => {
      calls = await repeat(scale.readMs, async (call) => {
        await client.retrieve(1 + (call % MESSAGES));
      });
    });
    await client.quit();
    return { 'pop3-retr': { value: perSecond(calls, run.ms), note: cpuNote(run, calls, 'message') } };
  },
};
