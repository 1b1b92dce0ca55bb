/** Brokers of one mesh on this machine, beside one NATS and one MongoDB-compatible server, and what each of them takes. */

import { freePort } from '../test/support/child-server.ts';
import {
  type ClusterServer,
  mongoServer,
  natsBytes,
  natsServer,
  withDatabase,
} from '../test/support/cluster-servers.ts';
import { startMailmesh } from './mailmesh.ts';
import { cpuMs } from './process-tree.ts';
import type { Login, System } from './system.ts';

/** CPU milliseconds of each kind of process. */
export interface Cost {
  readonly brokers: number;
  readonly queue: number;
  readonly store: number;
}

export interface BenchMesh {
  readonly nodes: readonly System[];
  cost(): Cost;
  /** Bytes that NATS has taken and given so far. */
  natsBytes(): Promise<number>;
  stop(): Promise<void>;
}

export async function startMesh(brokers: number, resolver: string): Promise<BenchMesh> {
  const monitor = await freePort();
  const servers: ClusterServer[] = [];
  const nodes: System[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(nodes.map((node) => node.stop()));
    for (const server of servers) await server.close();
  };
  try {
    const nats = await natsServer({ args: ['-m', String(monitor)] });
    servers.push(nats);
    const mongo = await mongoServer();
    servers.push(mongo);
    if (nats.pid === undefined || mongo.pid === undefined)
      throw new Error('MONGO_URL and NATS_URL must not be set: the CPU time of other machines cannot be seen');
    const mongoUrl = withDatabase(mongo.url, 'bench');
    let users: readonly Login[] | null = null;
    for (let i = 0; i < brokers; i++) {
      const node: System = await startMailmesh({ resolver, mesh: { mongoUrl, natsUrl: nats.url, users } });
      nodes.push(node);
      users = node.users;
    }
    const pids = { nats: nats.pid, mongo: mongo.pid };
    return {
      nodes,
      cost: () => ({
        brokers: cpuMs(nodes.flatMap(({ roots }) => roots)),
        queue: cpuMs([pids.nats]),
        store: cpuMs([pids.mongo]),
      }),
      natsBytes: () => natsBytes(monitor),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
