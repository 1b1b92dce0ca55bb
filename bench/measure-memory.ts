/** Memory: of a server that nobody uses yet, and of IMAP connections that are logged in with INBOX selected and do nothing. */

import { setTimeout as pause } from 'node:timers/promises';
import { ImapClient } from './imap-client.ts';
import { startMailmesh } from './mailmesh.ts';
import type { Measurement } from './measure.ts';
import { proportionalBytes, residentBytes } from './process-tree.ts';
import { deliveredTo, type System } from './system.ts';

const SETTLE_MS = 3_000;
const AT_A_TIME = 20;
/** Peers with a process for each connection. */
const PEER_CONNECTIONS = 100;

/** Ours is one process; the memory of a peer's many is divided fairly among those that share it. */
const memoryOf = (system: System): number =>
  system.ports.http === undefined ? proportionalBytes(system.roots) : residentBytes(system.roots[0]!);

export const atRest: Measurement = {
  name: 'rest',
  rows: [{ name: 'memory-rest', work: 'resident memory at rest', unit: 'MB', target: { atMost: 300 } }],
  peers: [],
  async run(_, { server }) {
    const fresh = await startMailmesh(server);
    await pause(SETTLE_MS);
    const bytes = memoryOf(fresh);
    await fresh.stop();
    return { 'memory-rest': { value: bytes / 2 ** 20 } };
  },
};

export const connections: Measurement = {
  name: 'connections',
  rows: [
    { name: 'memory-connection', work: 'resident memory per idle IMAP connection', unit: 'KB', target: { atMost: 60 } },
  ],
  peers: ['dovecot'],
  async run(system, { scale }) {
    const count =
      system.ports.http === undefined ? Math.min(PEER_CONNECTIONS, scale.idleConnections) : scale.idleConnections;
    const users = deliveredTo(system);
    const clients: ImapClient[] = [];
    const open = async (i: number): Promise<void> => {
      const client = await ImapClient.open(system.ports.imap!, users[i % users.length]!);
      await client.run('SELECT INBOX');
      clients.push(client);
    };
    // What the first connections bring into memory is there for all: code, columns of the mailboxes.
    for (let i = 0; i < users.length; i++) await open(i);
    await pause(SETTLE_MS);
    const before = memoryOf(system);
    for (let i = 0; i < count; i += AT_A_TIME)
      await Promise.all(Array.from({ length: Math.min(AT_A_TIME, count - i) }, (_, k) => open(i + k)));
    await pause(SETTLE_MS);
    const bytes = memoryOf(system) - before;
    for (const client of clients) client.close();
    return { 'memory-connection': { value: bytes / count / 1024, note: `${count} connections` } };
  },
};
