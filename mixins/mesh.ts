/**
 * The mesh as one node sees it: which nodes run a service, which of them is in charge of an account, whether others can
 * be reached at all. A node that drains is in charge of nothing any more, unless all of them drain. What is said here may
 * be old by a moment and only routes; who may write is decided by leases.
 */

import type { ServiceBroker } from 'moleculer';
import { OwnerCache } from '../core/mesh/owner-table.ts';

/** Accounts whose node is remembered, for each service. */
const ACCOUNTS_MAX = 20_000;
/** The broker would look for nodes that fell silent only as often as they may be silent: that doubles the time. */
const CHECK_MS = 1_000;
/** A node that was not heard for longer is asked whether it is there: heartbeats come every 2 s, or half a second later. */
const QUIET_S = 3;
/** Letters of a process's random name that tell it from others of the same node. */
const INSTANCE_LENGTH = 8;

interface Routing {
  readonly nodes: readonly string[];
  readonly owners: OwnerCache;
}

/** Parts of the broker's registry that its types leave out. */
interface Registry {
  readonly nodes: { toArray(): readonly RegisteredNode[]; disconnected(id: string, unexpected: boolean): void };
  readonly discoverer: { sendLocalNodeInfo(): Promise<void> };
  regenerateLocalRawInfo(incSeq: boolean): void;
}
interface Transit {
  readonly pendingRequests: ReadonlyMap<string, { readonly nodeID: string }>;
  sendPing(nodeId: string): Promise<void>;
}
interface RegisteredNode {
  readonly id: string;
  readonly local: boolean;
  readonly available: boolean;
  /** Seconds of this process's life. */
  readonly lastHeartbeatTime: number;
  readonly instanceID: string | null;
  readonly metadata: { readonly draining?: boolean } | null;
}

export interface MeshOptions {
  /** Whether the connection by which nodes find each other stands; null for a node that is alone by design. */
  readonly connected: (() => boolean) | null;
}

export class Mesh {
  readonly #broker: ServiceBroker;
  readonly #connected: (() => boolean) | null;
  readonly #routing = new Map<string, Routing>();
  readonly #listeners = new Set<() => void>();
  #timer: NodeJS.Timeout | undefined;
  #told = false;
  #checkedAt = 0;

  constructor(broker: ServiceBroker, options: MeshOptions) {
    this.#broker = broker;
    // What heartbeats carry, and nobody reads: the broker's own measuring takes most of what a node at rest takes.
    Object.assign(broker, { getCpuUsage: async () => ({ avg: 0, usages: [] }) });
    this.#connected = options.connected;
    for (const event of ['$node.**', '$services.changed']) broker.localBus.on(event, () => this.#changed());
    if (options.connected !== null) this.#timer = setInterval(() => this.#check(), CHECK_MS).unref();
  }

  /** Whether this node is one of several by design. */
  get isShared(): boolean {
    return this.#connected !== null;
  }

  /** Whether others can be reached; always so for a node that is alone by design. */
  get isConnected(): boolean {
    return this.#connected === null || this.#connected();
  }

  /** This process: the node's name may be another's after it. */
  get self(): string {
    return processName(this.#broker.nodeID, this.#broker.instanceID);
  }

  /** Nodes that run the service and take work, in no order. */
  nodesOf(service: string): readonly string[] {
    return this.#routingOf(service).nodes;
  }

  /** Likewise, with those that drain. */
  everyNodeOf(service: string): readonly string[] {
    return this.#running(service).map(({ id }) => id);
  }

  /** Whether this node is in charge of the account, of those that run the service. */
  owns(service: string, account: string): boolean {
    return this.#connected === null || this.#routingOf(service).owners.ownerOf(account) === this.#broker.nodeID;
  }

  /** Whether the process that calls itself so (see `self`) is among those that are known to be there. */
  lives(process: string): boolean {
    return this.#registry.nodes
      .toArray()
      .some((node) => node.available && processName(node.id, node.instanceID ?? '') === process);
  }

  /** Called, after the moment in which it did, when what is said here has changed. */
  onChange(listener: () => void): void {
    this.#listeners.add(listener);
  }

  /** From here on this node is in charge of nothing, as far as there are others. */
  async drain(): Promise<void> {
    this.#broker.metadata.draining = true;
    this.#changed();
    if (this.#connected === null) return;
    this.#registry.regenerateLocalRawInfo(true);
    await this.#registry.discoverer.sendLocalNodeInfo();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  /** When this process itself was held up, what the others said meanwhile has not been read yet. */
  #check(): void {
    const now = performance.now();
    const late = now - this.#checkedAt > 2 * CHECK_MS;
    this.#checkedAt = now;
    if (late) return;
    const { nodes } = this.#registry;
    const silentS = this.#broker.options.heartbeatTimeout!;
    const asked = new Set([...this.#transit.pendingRequests.values()].map(({ nodeID }) => nodeID));
    for (const { id, local, available, lastHeartbeatTime } of nodes.toArray()) {
      if (local || !available) continue;
      const quietS = process.uptime() - lastHeartbeatTime;
      if (quietS > silentS) nodes.disconnected(id, true);
      // Nobody waits for the answer: where the node has ended, the transporter is told.
      else if (quietS > QUIET_S || asked.has(id)) void this.#transit.sendPing(id);
    }
  }

  get #transit(): Transit {
    return this.#broker.transit as unknown as Transit;
  }

  get #registry(): Registry {
    return this.#broker.registry as unknown as Registry;
  }

  #routingOf(service: string): Routing {
    const known = this.#routing.get(service);
    if (known !== undefined) return known;
    const there = this.#running(service);
    const open = there.filter(({ metadata }) => metadata?.draining !== true);
    const nodes = (open.length > 0 ? open : there).map(({ id }) => id);
    const owners = new OwnerCache(ACCOUNTS_MAX);
    owners.update(nodes.map((id) => ({ id })));
    const routing = { nodes, owners };
    this.#routing.set(service, routing);
    return routing;
  }

  #running(service: string): readonly RegisteredNode[] {
    const ids = new Set(
      this.#broker.registry
        .getServiceList({ onlyAvailable: true })
        .filter(({ name }) => name === service)
        .map(({ nodeID }) => nodeID),
    );
    return this.#registry.nodes.toArray().filter(({ id }) => ids.has(id));
  }

  #changed(): void {
    this.#routing.clear();
    if (this.#told) return;
    this.#told = true;
    setImmediate(() => {
      this.#told = false;
      for (const listener of this.#listeners) listener();
    });
  }
}

const processName = (node: string, instance: string): string => `${node}/${instance.slice(0, INSTANCE_LENGTH)}`;
