/**
 * One node of the mesh: stores, broker and services, from start to drained stop. `all` is what the configuration says: on
 * one machine the complete server, in a mesh the node's role. `offline` serves the mailmesh command while no server runs
 * here: stores and actions, no listeners.
 */

import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { type ServiceBroker as Broker, ServiceBroker, type ServiceSchema } from 'moleculer';
import type { Config } from '../core/config/load.ts';
import type { Facts } from '../core/mail/errors.ts';
import { base32 } from '../core/mail/ids.ts';
import { readLayout } from '../core/mail/layout.ts';
import { API_SERVICES, needsCertificate, type ServiceName, servicesOf } from '../core/mesh/roles.ts';
import { Throttle } from '../core/sasl/throttle.ts';
import { brokerOptions } from '../moleculer.config.ts';
import { DirectoryAuthenticator } from './authenticator.ts';
import { BusTransporter } from './bus-transporter.ts';
import { attachContext, type NodeContext } from './context.ts';
import { type ActionName, call, type Params, type Result } from './contracts.ts';
import { DropLog } from './drop-log.ts';
import { findMessage } from './find-message.ts';
import { type FirstStart, firstStart, firstStartOver } from './first-start.ts';
import { HintBus } from './hint-bus.ts';
import { HintHub } from './hint-hub.ts';
import { createLog, errorFacts } from './log.ts';
import { Mesh } from './mesh.ts';
import { createMetrics } from './metrics.ts';
import { Intake } from './pace.ts';
import { probes } from './probes.ts';
import { type ListenerInfo, Readiness } from './readiness.ts';
import { openStores, type Stores } from './storage.ts';
import { storeBlob } from './store-blob.ts';
import { TlsKeeper } from './tls-keeper.ts';
import { VERSION } from './version.ts';

/** Services for one command; without listeners and stages. */
const OFFLINE: readonly ServiceName[] = ['mailbox', ...API_SERVICES, 'trainer'];
/** A first start makes accounts by these. */
const FIRST_START: readonly ServiceName[] = ['mailbox', 'domain', 'account'];

export interface NodeOptions {
  readonly roles: 'all' | 'offline';
  /** Open stores instead of those that the configuration names; closed with the node. */
  readonly stores?: Stores;
}

export interface Node {
  /** Its name in the mesh. */
  readonly id: string;
  readonly services: readonly string[];
  /** Accounts made at this start with their passwords, which are kept nowhere; null when there were accounts already. */
  readonly firstStart: FirstStart | null;
  readonly listeners: readonly ListenerInfo[];
  readonly broker: Broker;
  readonly context: NodeContext;
  call<A extends ActionName>(action: A, params: Params<A>): Promise<Result<A>>;
  putBlob(stream: AsyncIterable<Uint8Array>): Promise<{ readonly blob: string; readonly sizeBytes: number }>;
  readMessage(account: string, mailbox: string, uid: number): AsyncIterable<Uint8Array>;
  /** No new work, running transactions end, stores close. */
  stop(): Promise<void>;
}

/** Unique in the mesh; of letters that names of NATS subjects may have. */
const newNodeId = (): string => `${hostname().replace(/[^A-Za-z0-9-]/g, '-')}-${process.pid}-${base32(randomBytes(4))}`;

export async function startNode(config: Config, options: NodeOptions): Promise<Node> {
  const now = Date.now;
  const log = createLog(config);
  const metrics = createMetrics();
  const offline = options.roles === 'offline';
  const node = offline ? newNodeId() : (config.nodeId ?? newNodeId());
  const report = (event: string, facts: Facts): void => {
    metrics.meshEvents.inc({ event });
    log[event === 'nats.connected' ? 'info' : 'warn'](facts, event);
  };
  const peers = (service: string): readonly string[] => mesh.nodesOf(service);
  const stores = options.stores ?? (await openStores(config, now, { node, report, peers }));
  const hintsDropped = new DropLog(log, 'hint.dropped');
  const fault = (room: string) => (error: unknown) => {
    metrics.faults.inc({ room });
    log.error({ room, ...errorFacts(error) }, 'fault');
  };
  const services = offline ? OFFLINE : servicesOf(config);
  const transport =
    stores.mesh === null
      ? null
      : { namespace: `mailmesh-${stores.mesh.name}`, transporter: new BusTransporter(stores.mesh.bus) };
  const broker = new ServiceBroker(brokerOptions(config, node, transport));
  const bus = stores.mesh?.bus ?? null;
  const mesh = new Mesh(broker, { connected: bus === null ? null : () => bus.isConnected });
  const hints = new HintHub(fault('hints'));
  const tls = new TlsKeeper(config, fault('tls'));
  const readiness = new Readiness();
  readiness.expect('services');
  const authenticator = new DirectoryAuthenticator(
    { directory: stores.directory, domain: config.domain, metrics, log, now },
    new Throttle({
      failuresFree: config.authFailuresFree,
      firstWaitMs: config.authBackoffMs,
      waitMaxMs: config.authBackoffMsMax,
    }),
  );
  let openDoors = (): void => undefined;
  const doorsOpen = new Promise<void>((resolve) => {
    openDoors = resolve;
  });
  const context: NodeContext = {
    config,
    version: VERSION,
    stores,
    log,
    metrics,
    hints,
    hintBus:
      stores.mesh === null
        ? null
        : new HintBus({
            bus: stores.mesh.bus,
            mesh: stores.mesh.name,
            self: mesh.self,
            hub: hints,
            dropped: (detail) => {
              metrics.packetsDropped.inc();
              hintsDropped.tell({ detail });
            },
          }),
    mesh,
    services,
    api: services.includes('gateway') ? await Promise.all(API_SERVICES.map(loadService)) : [],
    tls,
    authenticator,
    readiness,
    intake: new Intake(),
    doorsOpen,
    now,
  };
  attachContext(broker, context);
  probes(context);

  const stop = async (): Promise<void> => {
    readiness.drain();
    await mesh.drain();
    // While everybody knows where to go instead, and before anything else ends.
    await (broker.getLocalService('mailbox') as unknown as { handOver(): Promise<void> } | undefined)?.handOver();
    // Then what asks other nodes comes to rest, while it still can: the broker itself waits until no call is under way, and
    // under load one always is.
    await Promise.all(broker.services.map((service) => (service as { quiesce?(): Promise<unknown> }).quiesce?.()));
    await broker.stop();
    mesh.close();
    tls.close();
    await stores.close();
    log.flush();
  };
  try {
    if (!offline && needsCertificate(services)) await tls.open(now());
    const support = [
      ...(context.hintBus === null ? ['hints'] : []),
      ...(offline ? [] : ['node']),
      ...(offline || services.includes('gateway') ? [] : ['health']),
    ];
    const alone = offline && mesh.isShared ? services.filter((name) => name !== 'mailbox') : services;
    for (const name of [...support, ...alone]) broker.createService(await loadService(name));
    const started = broker.start();
    let first: FirstStart | null = null;
    if (!offline) {
      if (FIRST_START.every((name) => services.includes(name))) {
        // Nobody may be told that an account does not exist while it is being made: listeners open last.
        await Promise.race([started, broker.waitForServices([...FIRST_START])]);
        first = await firstStart(broker, config);
      }
      openDoors();
    }
    await started;
    // A mesh without any node that writes mailboxes: this command does it itself.
    if (alone !== services && mesh.nodesOf('mailbox').length === 0) {
      broker.createService(await loadService('mailbox'));
      await broker.waitForServices(['mailbox']);
    }
    if (first !== null) await firstStartOver(config);
    readiness.set('services', true);
    await readiness.refresh();
    metrics.ready.set(readiness.ready ? 1 : 0);
    return {
      id: broker.nodeID,
      services,
      firstStart: first,
      listeners: readiness.listeners,
      broker,
      context,
      call: (action, params) => call(broker, action, params, { timeoutMs: 0 }),
      putBlob: (stream) => storeBlob(stores.blobs, stream, config.sizeBytesMax),
      readMessage: async function* (account, mailbox, uid) {
        const { content } = await findMessage(stores, account, mailbox, uid, ['layout']);
        yield* readLayout(stores.blobs, content.layout);
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function loadService(name: string): Promise<ServiceSchema> {
  const { service } = (await import(`../services/${name}.service.ts`)) as { service: ServiceSchema };
  return service;
}
