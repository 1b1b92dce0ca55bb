/**
 * Three whole nodes, each a process of its own, beside one MongoDB-compatible server and one NATS. Every node reaches the
 * two through proxies of its own, so that a test can make any of its connections slow, or cut it off, without root.
 */

import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { mailmeshJson } from '../../support/cli.ts';
import { eventually } from '../../support/clients.ts';
import { type ClusterServer, mongoServer, natsServer, withDatabase } from '../../support/cluster-servers.ts';
import { rest } from '../../support/rest.ts';
import { type Login, newDataDir, removeDataDir, type Server, startServer } from '../../support/server.ts';
import type { ServerRoom } from '../../support/server-room.ts';
import { type TcpProxy, tcpProxy } from '../../support/tcp-proxy.ts';
import { patiently } from './patience.ts';

export const NODES = 3;
const ACCOUNTS = 8;
const PASSWORD = 'correct horse battery';
const READY_MS_MAX = patiently(30_000);

export interface MeshNode {
  readonly name: string;
  readonly mongo: TcpProxy;
  readonly nats: TcpProxy;
  readonly dataDir: string;
  /** Undefined while it is down. */
  server: Server | undefined;
  start(more?: Readonly<Record<string, string>>): Promise<Server>;
  stop(): Promise<void>;
  kill(): Promise<void>;
  /** Kills it and removes what it has kept. */
  close(): Promise<void>;
}

export interface Mesh {
  readonly mongo: ClusterServer;
  readonly nats: ClusterServer;
  readonly nodes: readonly MeshNode[];
  readonly accounts: readonly Login[];
  /** Of the REST API, with every right. */
  readonly key: string;
  /** Any node that is up. */
  readonly up: Server;
}

/** Where the nodes' logs are kept, when something is to be found out. */
const LOG_DIR = process.env.FAULT_LOG_DIR;

/** Whether a node says that it is ready. One that does not answer is not. */
export async function isReady(server: Server): Promise<boolean> {
  try {
    const response = await fetch(`http://127.0.0.1:${server.ports.http}/readyz`, {
      signal: AbortSignal.timeout(2_000),
    });
    await response.arrayBuffer();
    return response.status === 200;
  } catch {
    return false;
  }
}

export const allReady = (mesh: Mesh, deadlineMs = READY_MS_MAX): Promise<true> =>
  eventually(
    'ready on every node',
    async () => {
      const answers = await Promise.all(mesh.nodes.map(({ server }) => server !== undefined && isReady(server)));
      return answers.every(Boolean) ? true : undefined;
    },
    deadlineMs,
  );

interface NodeServers {
  readonly mongo: ClusterServer;
  readonly nats: ClusterServer;
  readonly database: string;
  /** Of the servers on a link of the node's own, which it then takes instead of its proxies. */
  readonly host: string | undefined;
}

async function newNode(name: string, servers: NodeServers, env: Readonly<Record<string, string>>): Promise<MeshNode> {
  const [mongo, nats, dataDir] = await Promise.all([
    tcpProxy(servers.mongo.port),
    tcpProxy(servers.nats.port),
    newDataDir(),
  ]);
  const { host } = servers;
  const mongoAt = host === undefined ? `127.0.0.1:${mongo.port}` : `${host}:${servers.mongo.port}`;
  const natsAt = host === undefined ? `127.0.0.1:${nats.port}` : `${host}:${servers.nats.port}`;
  // The address on the node's own way, not the one that the replica set tells of itself.
  const mongoUrl = `${withDatabase(`mongodb://${mongoAt}`, servers.database)}?directConnection=true`;
  const logs: string[][] = [];
  const node: MeshNode = {
    ...{ name, mongo, nats, dataDir, server: undefined },
    async start(more = {}) {
      node.server = await startServer(dataDir, {
        MAILMESH_MONGO_URL: mongoUrl,
        MAILMESH_NATS_URL: `nats://${natsAt}`,
        MAILMESH_NODE_ID: name,
        // Nothing is measured here about TLS, and the load is at home in one process.
        MAILMESH_INSECURE_AUTH: 'true',
        ...env,
        ...more,
      });
      logs.push(node.server.log);
      return node.server;
    },
    async stop() {
      const { server } = node;
      const code = await server?.stop();
      node.server = undefined;
      if (code !== 0) throw new Error(`${name} ended with ${code}:\n${server?.log.slice(-10).join('\n')}`);
    },
    async kill() {
      await node.server?.kill();
      node.server = undefined;
    },
    async close() {
      await node.kill();
      await Promise.all([mongo.close(), nats.close()]);
      await removeDataDir(dataDir);
      if (LOG_DIR !== undefined)
        await writeFile(join(LOG_DIR, `${servers.database}-${name}.log`), logs.flat().join('\n'));
    },
  };
  return node;
}

async function newAccounts(server: Server, key: string, domain: string): Promise<Login[]> {
  const logins = Array.from({ length: ACCOUNTS }, (_, i) => ({ address: `user${i}@${domain}`, password: PASSWORD }));
  await Promise.all(
    logins.map(async (body) => {
      const { status } = await rest(server, '/v1/accounts', { method: 'POST', key, body });
      if (status !== 201) throw new Error(`${body.address} was not made: ${status}`);
    }),
  );
  return logins;
}

/** @param room where the two servers run, with a link for each node */
export async function startMesh(
  t: TestContext,
  env: Readonly<Record<string, string>> = {},
  room?: ServerRoom,
): Promise<Mesh> {
  const place = room && { host: room.hosts[0]!, enter: room.enter };
  const [mongo, nats] = await Promise.all([mongoServer({ place }), natsServer({ place })]);
  const database = `faults-${randomBytes(4).toString('hex')}`;
  const nodes = await Promise.all(
    Array.from({ length: NODES }, (_, i) => newNode(`node${i}`, { mongo, nats, database, host: room?.hosts[i] }, env)),
  );
  t.after(async () => {
    await Promise.all(nodes.map((node) => node.close()));
    await Promise.all([mongo.close(), nats.close()]);
  });
  await Promise.all(nodes.map((node) => node.start()));
  const first = nodes[0]!;
  const { secret: key } = await mailmeshJson<{ secret: string }>(first.dataDir, [
    'apikey',
    'create',
    'faults',
    '--scope',
    'admin',
  ]);
  const accounts = await newAccounts(first.server!, key, 'mail.localhost');
  const mesh: Mesh = {
    ...{ mongo, nats, nodes, accounts, key },
    get up() {
      const server = nodes.find((node) => node.server !== undefined)?.server;
      if (server === undefined) throw new Error('no node is up');
      return server;
    },
  };
  await allReady(mesh);
  return mesh;
}
