/** Messages sent on kept connections, one user for each connection, and the wait until all can be seen by IMAP. */

import { setTimeout as pause } from 'node:timers/promises';
import { ImapClient } from './imap-client.ts';
import { repeat } from './measure.ts';
import type { MessageSource } from './messages.ts';
import { SmtpClient } from './smtp-client.ts';
import type { Login, System } from './system.ts';

const POLL_MS = 10;
const POLL_MS_MAX = 2_000;
/** A system that takes longer than this to deliver what it accepted is measured by what it has delivered. */
const DRAIN_MS_MAX = 40_000;

/** Sends for so long; resolves with how many were answered 250. Connection k sends to user k modulo their number. */
export async function sendFor(
  system: System,
  protocol: 'smtp' | 'lmtp',
  options: {
    readonly ms: number;
    readonly connections: number;
    readonly users: readonly Login[];
    readonly source: MessageSource;
  },
): Promise<number> {
  const port = system.ports[protocol]!;
  const clients = await Promise.all(Array.from({ length: options.connections }, () => SmtpClient.open(port, protocol)));
  const counts = await Promise.all(
    clients.map((client, k) => {
      const { address } = options.users[k % options.users.length]!;
      return repeat(options.ms, () => {
        const { from, bytes } = options.source.next();
        return client.send(from, address, bytes);
      });
    }),
  );
  for (const client of clients) client.close();
  return counts.reduce((sum, count) => sum + count, 0);
}

/** Looks at the mailboxes that mail for these users may be put into. */
export class Watch {
  readonly #system: System;
  readonly #clients: readonly ImapClient[];
  readonly #drainMsMax: number;
  #before = 0;

  private constructor(system: System, clients: readonly ImapClient[], drainMsMax: number) {
    this.#system = system;
    this.#clients = clients;
    this.#drainMsMax = drainMsMax;
  }

  static async on(system: System, users: readonly Login[], drainMsMax = DRAIN_MS_MAX): Promise<Watch> {
    const clients = await Promise.all(users.map((user) => ImapClient.open(system.ports.imap!, user)));
    const watch = new Watch(system, clients, drainMsMax);
    watch.#before = await watch.#count();
    return watch;
  }

  /** Resolves when so many more messages are visible than at the beginning; with how many there are. */
  async until(count: number): Promise<number> {
    const begun = performance.now();
    let before = { at: begun, seen: (await this.#count()) - this.#before };
    let { seen } = before;
    for (let pauseMs = POLL_MS; seen < count && before.at < begun + this.#drainMsMax; ) {
      await pause(pauseMs);
      seen = (await this.#count()) - this.#before;
      const at = performance.now();
      // Half of what it will still take: looking more often would only take time from what is waited for.
      const leftMs = ((count - seen) * (at - before.at)) / Math.max(1, seen - before.seen);
      pauseMs = Math.min(POLL_MS_MAX, Math.max(POLL_MS, leftMs / 2));
      before = { at, seen };
    }
    return seen;
  }

  close(): void {
    for (const client of this.#clients) client.close();
  }

  async #count(): Promise<number> {
    const counts = await Promise.all(
      this.#clients.map(async (client) => {
        let sum = 0;
        for (const place of this.#system.places) sum += await client.count(place);
        return sum;
      }),
    );
    return counts.reduce((sum, count) => sum + count, 0);
  }
}
