/** Memory: of a server that nobody uses yet, and of IMAP connections that are logged in with INBOX selected and do nothing. */

import { setTimeout as pause } from 'node:timers/promises';
import { sendFor, Watch } from './deliver-load.ts';
import { ImapClient } from './imap-client.ts';
import { startMailmesh } from './mailmesh.ts';
import type { Measurement } from './measure.ts';
import { proportionalBytes, residentBytes } from './process-tree.ts';
import { deliveredTo, type System } from './system.ts';

const SETTLE_MS = 3_000;
const AT_A_TIME = 20;
/** So long mail is sent to a new server, so that its mailboxes are not empty. */
const SEED_MS = 1_000;
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

/** Connections with INBOX selected, opened and settled; the bytes that each added. */
async function perConnection(system: System, count: number): Promise<number> {
  const users = deliveredTo(system);
  const clients: ImapClient[] = [];
  const open = async (i: number): Promise<void> => {
    const client = await ImapClient.open(system.ports.imap!, users[i % users.length]!);
    await client.run('SELECT INBOX');
    clients.push(client);
  };
  const openMany = async (many: number): Promise<void> => {
    for (let i = 0; i < many; i += AT_A_TIME)
      await Promise.all(Array.from({ length: Math.min(AT_A_TIME, many - i) }, (_, k) => open(i + k)));
    await pause(SETTLE_MS);
  };
  // The first ones bring what is there for all (code, columns of the mailboxes) and fill the room that the heap has.
  await openMany(Math.ceil(count / 2));
  const before = memoryOf(system);
  await openMany(count);
  const bytes = memoryOf(system) - before;
  for (const client of clients) client.close();
  return bytes / count;
}

export const connections: Measurement = {
  name: 'connections',
  rows: [
    { name: 'memory-connection', work: 'resident memory per idle IMAP connection', unit: 'KB', target: { atMost: 60 } },
  ],
  peers: ['dovecot'],
  async run(system, setting) {
    if (system.ports.http === undefined) {
      const count = Math.min(PEER_CONNECTIONS, setting.scale.idleConnections);
      const bytes = await perConnection(system, count);
      return {
        'memory-connection': {
          value: bytes / 1024,
          note: `${count} connections beside ${Math.ceil(count / 2)} others`,
        },
      };
    }
    // A new server: after a load, a heap has room that new connections would be put into unseen.
    const fresh = await startMailmesh(setting.server);
    try {
      const count = setting.scale.idleConnections;
      const options = { ms: SEED_MS, connections: 8, users: deliveredTo(fresh), source: setting.sources.small };
      const watch = await Watch.on(fresh, options.users);
      await watch.until(await sendFor(fresh, 'lmtp', options));
      watch.close();
      const bytes = await perConnection(fresh, count);
      return {
        'memory-connection': {
          value: bytes / 1024,
          note: `${count} connections beside ${Math.ceil(count / 2)} others`,
        },
      };
    } finally {
      await fresh.stop();
    }
  },
};
