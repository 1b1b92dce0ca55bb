/**
 * Latency of single messages while nothing else goes on: from the 250 to the EXISTS that a client in IDLE is told. Behind
 * LMTP, Dovecot's 250 means that the message is in the mailbox; ours means custody, so our whole pipeline is in the figure.
 */

import { setTimeout as pause } from 'node:timers/promises';
import { ImapClient } from './imap-client.ts';
import { type Figure, type Measurement, percentile, type Setting } from './measure.ts';
import { SmtpClient } from './smtp-client.ts';
import { type System, userOf } from './system.ts';

const PAUSE_MS = 15;
const WARM = 10;
/** A system that takes longer gives fewer samples. */
const TIME_MS_MAX = 15_000;

async function latencies(system: System, { scale, sources }: Setting, protocol: 'smtp' | 'lmtp'): Promise<number[]> {
  const user = userOf(system, 'watcher');
  const reader = await ImapClient.open(system.ports.imap!, user);
  await reader.run('SELECT INBOX');
  const idle = await reader.idle();
  const client = await SmtpClient.open(system.ports[protocol]!, protocol);
  const took: number[] = [];
  const end = performance.now() + TIME_MS_MAX;
  for (let i = -WARM; i < scale.samples && (i < 1 || performance.now() < end); i++) {
    const { from, bytes } = sources.small.next();
    let told = 0;
    const exists = idle.exists().then(() => {
      told = performance.now();
    });
    await client.send(from, user.address, bytes);
    const accepted = performance.now();
    await exists;
    if (i >= 0) took.push(Math.max(0, told - accepted));
    await pause(PAUSE_MS);
  }
  await idle.done();
  reader.close();
  client.close();
  return took;
}

const figures = (took: readonly number[], name: string): Record<string, Figure> => ({
  [`${name}-p50`]: { value: percentile(took, 0.5), note: `${took.length} messages one by one` },
  [`${name}-p99`]: { value: percentile(took, 0.99), note: `longest ${Math.max(...took).toFixed(1)} ms` },
});

export const pushing: Measurement = {
  name: 'push',
  rows: [
    { name: 'push-p50', work: 'IDLE push after LMTP delivery, p50', unit: 'ms', target: null },
    { name: 'push-p99', work: 'IDLE push after LMTP delivery, p99', unit: 'ms', target: { atMost: 50 } },
  ],
  peers: ['dovecot'],
  run: async (system, setting) => figures(await latencies(system, setting, 'lmtp'), 'push'),
};

export const visibility: Measurement = {
  name: 'visible',
  rows: [
    { name: 'visible-p50', work: 'SMTP acceptance → IDLE told, idle machine, p50', unit: 'ms', target: { atMost: 50 } },
    {
      name: 'visible-p99',
      work: 'SMTP acceptance → IDLE told, idle machine, p99',
      unit: 'ms',
      target: { atMost: 250 },
    },
  ],
  peers: ['postfixDovecot'],
  run: async (system, setting) => figures(await latencies(system, setting, 'smtp'), 'visible'),
};
