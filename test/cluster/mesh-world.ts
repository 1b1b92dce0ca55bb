/**
 * Several nodes in this process with a real NATS between them, over the same stores: the embedded ones, which one process
 * may share. What is about routing and hints needs no MongoDB.
 */

import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { loadConfig } from '../../core/config/load.ts';
import { NatsMessageBus } from '../../drivers/cluster/message-bus.ts';
import { Nats } from '../../drivers/cluster/nats.ts';
import { type Node, startNode } from '../../mixins/node.ts';
import { openStores, type Stores } from '../../mixins/storage.ts';
import { eventually } from '../support/clients.ts';
import { type ClusterServer, natsServer } from '../support/cluster-servers.ts';
import { newDataDir, removeDataDir } from '../support/server.ts';

const OFF = ['SMTP', 'SUBMISSION', 'SUBMISSIONS', 'LMTP', 'IMAPS', 'POP3S', 'HTTP'];
const ENVIRONMENT = {
  ...Object.fromEntries(OFF.map((name) => [`MAILMESH_${name}_PORT`, 'off'])),
  MAILMESH_IMAP_PORT: '0',
  MAILMESH_POP3_PORT: '0',
  MAILMESH_INSECURE_AUTH: 'true',
  MAILMESH_MONGO_URL: 'mongodb://unused',
  MAILMESH_NATS_URL: 'nats://unused',
  MAILMESH_LOG_LEVEL: 'silent',
  MAILMESH_DRAIN_TIMEOUT_MS: '2s',
};

export interface WorldNode extends Node {
  readonly nats: Nats;
  /** Is gone without a word, as after a kill: what it holds stays held. */
  vanish(): Promise<void>;
}

export class MeshWorld {
  readonly server: ClusterServer;
  readonly stores: Stores;
  /** What asks the database of every node. */
  ping = (): Promise<void> => Promise.resolve();
  readonly #dataDir: string;
  readonly #nodes = new Set<WorldNode>();

  private constructor(server: ClusterServer, dataDir: string, stores: Stores) {
    this.server = server;
    this.#dataDir = dataDir;
    this.stores = stores;
  }

  static async open(): Promise<MeshWorld> {
    const dataDir = await newDataDir();
    const stores = await openStores(loadConfig({ MAILMESH_DATA_DIR: dataDir }), Date.now);
    return new MeshWorld(await natsServer(), dataDir, stores);
  }

  async node(id: string, services: string): Promise<WorldNode> {
    const nats = new Nats({ url: this.server.url });
    await nats.open();
    const bus = new NatsMessageBus({ nats, failed: (error) => assert.fail(error as Error) });
    await mkdir(join(this.#dataDir, id), { recursive: true });
    const config = loadConfig({
      ...ENVIRONMENT,
      MAILMESH_DATA_DIR: join(this.#dataDir, id),
      MAILMESH_NODE_ID: id,
      MAILMESH_SERVICES: services,
    });
    const mesh = {
      ...{ bus, name: 'test', ping: () => this.ping(), restoreMail: () => Promise.resolve() },
      ...{ isHalfRestored: () => Promise.resolve(false), setHalfRestored: () => Promise.resolve() },
      ...{ format: () => 1, trouble: () => nats.trouble, hasTwin: () => Promise.resolve(false) },
      migrate: async () => ({ format: 1, looked: 0, changed: 0, resumed: false }),
    };
    const started = await startNode(config, {
      roles: 'all',
      stores: { ...this.stores, mesh, close: () => nats.close() },
    });
    const node: WorldNode = Object.assign(started, { nats, vanish: () => nats.close() });
    this.#nodes.add(node);
    return node;
  }

  async stop(node: WorldNode): Promise<void> {
    this.#nodes.delete(node);
    await node.stop();
  }

  async close(): Promise<void> {
    for (const node of this.#nodes) await node.stop();
    await this.stores.close();
    await this.server.close();
    await removeDataDir(this.#dataDir);
  }
}

/** Resolves when each of the nodes knows of so many that run the service. */
export const allSee = (nodes: readonly Node[], service: string, count: number): Promise<unknown> =>
  Promise.all(
    nodes.map((node) =>
      eventually(`${count} nodes with ${service} seen by ${node.id}`, () =>
        node.context.mesh.nodesOf(service).length === count ? true : undefined,
      ),
    ),
  );
