/**
 * A well-behaved client beside whatever else a test does to a server: it asks again and again on connections of its own
 * and remembers the longest that it had to wait. What this process itself was late by is not the server's and is let off.
 */

import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as after } from 'node:timers/promises';
import { LineClient } from './line-client.ts';
import type { Login, Server } from './server.ts';

const PAUSE_MS = 10;
/** Of one SMTP connection; servers end those that ask for ever. */
const COMMANDS_MAX = 1_000;

export interface Probe {
  /** Ends it. Milliseconds that the slowest answer took, without this process's own lateness. */
  stop(): Promise<number>;
}

export async function startProbe(server: Server, login: Login): Promise<Probe> {
  const imap = await LineClient.open(server.ports.imaps!, { tls: true });
  await imap.line();
  await imap.imap(`LOGIN ${login.address} ${login.password}`);
  await imap.imap('SELECT INBOX');
  const openSmtp = async (): Promise<LineClient> => {
    const client = await LineClient.open(server.ports.smtp!);
    await client.reply();
    return client;
  };
  let smtp = await openSmtp();
  let commands = 0;
  const askSmtp = async (): Promise<void> => {
    await smtp.smtp('RSET');
    if (++commands % COMMANDS_MAX > 0) return;
    smtp.close();
    smtp = await openSmtp();
  };
  const delay = monitorEventLoopDelay({ resolution: 10 });
  delay.enable();
  let going = true;
  let slowest = 0;
  const ask = async (command: () => Promise<unknown>): Promise<void> => {
    while (going) {
      const begun = performance.now();
      await command();
      slowest = Math.max(slowest, performance.now() - begun);
      await after(PAUSE_MS);
    }
  };
  const asking = Promise.all([ask(() => imap.imap('NOOP')), ask(askSmtp)]);
  return {
    async stop() {
      going = false;
      await asking;
      delay.disable();
      imap.close();
      smtp.close();
      return Math.max(0, slowest - delay.max / 1e6);
    },
  };
}
