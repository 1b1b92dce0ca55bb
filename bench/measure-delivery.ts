/**
 * The whole way under load: messages sent on eight kept connections to eight users until all are visible by IMAP. The
 * clock stops when STATUS shows the last one. Our memory and event loop delay under load are taken meanwhile.
 */

import { sendFor, Watch } from './deliver-load.ts';
import { cpuNote, type Figure, type Measurement, perSecond, type Setting, timed } from './measure.ts';
import type { MessageSource } from './messages.ts';
import { loopDelayMs } from './metrics-page.ts';
import { residentBytes } from './process-tree.ts';
import { deliveredTo, type System } from './system.ts';

const CONNECTIONS = 8;
const SAMPLE_MS = 200;
/** Before the clock starts, for code to be compiled and caches to be filled. */
const WARM_MS = 3_000;

async function deliver(system: System, source: MessageSource, ms: number): Promise<Figure> {
  const users = deliveredTo(system);
  const protocol = system.ports.lmtp === undefined ? 'smtp' : 'lmtp';
  const watch = await Watch.on(system, users);
  let seen = 0;
  let accepting = 0;
  let sent = 0;
  const run = await timed(system, async () => {
    const begun = performance.now();
    sent = await sendFor(system, protocol, { ms, connections: CONNECTIONS, users, source });
    accepting = performance.now() - begun;
    seen = await watch.until(sent);
  });
  watch.close();
  const lost = seen === sent ? '' : `; only ${seen} of ${sent} visible in time`;
  const note = `${sent} messages, accepted at ${perSecond(sent, accepting).toFixed(0)}/s, ${cpuNote(run, seen, 'message')}${lost}`;
  return { value: perSecond(seen, run.ms), note };
}

async function run(system: System, { scale, sources }: Setting): Promise<Record<string, Figure>> {
  const own = system.ports.http;
  let most = 0;
  const sampler = setInterval(() => {
    if (own !== undefined) most = Math.max(most, residentBytes(system.roots[0]!));
  }, SAMPLE_MS);
  await deliver(system, sources.small, Math.min(WARM_MS, scale.loadMs));
  if (own !== undefined) await loopDelayMs(own);
  const small = await deliver(system, sources.small, scale.loadMs);
  const delay = own === undefined ? 0 : await loopDelayMs(own);
  const large = await deliver(system, sources.large, scale.loadMs);
  clearInterval(sampler);
  const figures = { 'lmtp-10k': small, 'lmtp-75k': large };
  if (own === undefined) return figures;
  return { ...figures, 'memory-load': { value: most / 2 ** 20 }, 'loop-delay': { value: delay } };
}

export const delivery: Measurement = {
  name: 'lmtp',
  rows: [
    { name: 'lmtp-10k', work: 'LMTP → visible by IMAP, 8 connections, 10 KB', unit: '/s', target: { atLeast: 400 } },
    { name: 'lmtp-75k', work: 'LMTP → visible by IMAP, 8 connections, 75 KB', unit: '/s', target: { atLeast: 200 } },
    { name: 'memory-load', work: 'resident memory under that load', unit: 'MB', target: { atMost: 600 } },
    { name: 'loop-delay', work: 'event loop delay under that load (10 KB), p99', unit: 'ms', target: { atMost: 20 } },
  ],
  peers: ['dovecot', 'postfixDovecot'],
  run,
};

export const acceptance: Measurement = {
  name: 'smtp',
  rows: [
    { name: 'smtp-accept', work: 'SMTP accept (250), 8 kept connections, 10 KB', unit: '/s', target: { atLeast: 800 } },
  ],
  peers: ['postfixDovecot', 'postfixDiscard'],
  async run(system, { scale, sources }) {
    const users = deliveredTo(system);
    const watch = system.ports.imap === undefined ? undefined : await Watch.on(system, users);
    let sent = 0;
    const options = { ms: scale.loadMs, connections: CONNECTIONS, users, source: sources.small };
    const time = await timed(system, async () => {
      sent = await sendFor(system, 'smtp', options);
    });
    // What comes next is not to be measured beside the rest of this.
    await watch?.until(sent);
    watch?.close();
    return { 'smtp-accept': { value: perSecond(sent, time.ms), note: cpuNote(time, sent, 'message') } };
  },
};
