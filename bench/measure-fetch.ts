/** Reading by IMAP: whole mailboxes by one FETCH, over and over, after a first one that warms up and is checked. */

import { fillByAppend, fillByCopy } from './fill.ts';
import { ImapClient } from './imap-client.ts';
import { cpuNote, type Figure, type Measurement, perSecond, repeat, type Setting, timed } from './measure.ts';
import { type System, userOf } from './system.ts';

const MAILBOX = 'Fetched';
const BIG_MAILBOX = 'Fetched many';

interface Read {
  readonly messages: number;
  readonly bytes: number;
  readonly ms: number;
  readonly note: string;
}

async function read(system: System, client: ImapClient, mailbox: string, items: string, ms: number): Promise<Read> {
  await client.run(`SELECT "${mailbox}"`);
  const command = `FETCH 1:* ${items}`;
  let lines = 0;
  let chunkEnd = '';
  await client.run(command, (chunk) => {
    const text = chunkEnd + chunk.toString('latin1');
    for (let at = text.indexOf(' FETCH ('); at >= 0; at = text.indexOf(' FETCH (', at + 1)) lines++;
    chunkEnd = text.slice(-7);
  });
  const size = await client.count(mailbox);
  if (lines !== size) throw new Error(`${command} gave ${lines} messages of ${size}`);
  let bytes = 0;
  let calls = 0;
  const run = await timed(system, async () => {
    calls = await repeat(ms, async () => {
      bytes += (await client.run(command)).bytes;
    });
  });
  const messages = calls * size;
  return { messages, bytes, ms: run.ms, note: `${calls} times; ${cpuNote(run, messages / 1000, 'thousand')}` };
}

const rate = ({ messages, ms, note }: Read): Figure => ({ value: perSecond(messages, ms), note });

async function run(system: System, { scale, sources }: Setting): Promise<Record<string, Figure>> {
  const user = userOf(system, 'reader');
  await fillByAppend(system, user, { mailbox: MAILBOX, count: scale.mailbox, source: sources.small });
  await fillByCopy(system, user, { from: MAILBOX, mailbox: BIG_MAILBOX, count: scale.bigMailbox });
  const client = await ImapClient.open(system.ports.imap!, user);
  const flags = await read(system, client, MAILBOX, 'FLAGS', scale.readMs);
  const manyFlags = await read(system, client, BIG_MAILBOX, 'FLAGS', scale.readMs);
  const envelopes = await read(system, client, MAILBOX, 'ENVELOPE', scale.readMs);
  const bodies = await read(system, client, MAILBOX, 'BODY.PEEK[]', scale.readMs);
  client.close();
  return {
    'fetch-flags-10k': rate(flags),
    'fetch-flags-100k': rate(manyFlags),
    'fetch-envelope': rate(envelopes),
    'fetch-body': { value: perSecond(bodies.bytes, bodies.ms) / 1e6, note: bodies.note },
  };
}

export const fetching: Measurement = {
  name: 'fetch',
  rows: [
    { name: 'fetch-flags-10k', work: 'FETCH 1:* FLAGS, 10,000 messages', unit: '/s', target: { atLeast: 1e6 } },
    { name: 'fetch-flags-100k', work: 'FETCH 1:* FLAGS, 100,000 messages', unit: '/s', target: { atLeast: 1e6 } },
    { name: 'fetch-envelope', work: 'FETCH ENVELOPE, warm', unit: '/s', target: { atLeast: 150_000 } },
    { name: 'fetch-body', work: 'FETCH BODY.PEEK[], 10 KB messages', unit: 'MB/s', target: { atLeast: 300 } },
  ],
  peers: ['dovecot'],
  run,
};
