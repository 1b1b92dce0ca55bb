/**
 * One node of the mesh: stores, broker and the services of its roles, from start to drained stop. `all` is the complete
 * server of one machine; `offline` serves the mailmesh command while no server runs: stores and actions, no listeners.
 */

import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { type ServiceBroker as Broker, ServiceBroker, type ServiceSchema } from 'moleculer';
import type { Config } from '../core/config/load.ts';
import { base32 } from '../core/mail/ids.ts';
import { readLayout } from '../core/mail/layout.ts';
import { Throttle } from '../core/sasl/throttle.ts';
import { brokerOptions } from '../moleculer.config.ts';
import { DirectoryAuthenticator } from './authenticator.ts';
import { attachContext, type NodeContext } from './context.ts';
import { type ActionName, call, type Params, type Result } from './contracts.ts';
import { findMessage } from './find-message.ts';
import { type FirstStart, firstStart, firstStartOver } from './first-start.ts';
import { HintHub } from './hint-hub.ts';
import { createLog, errorFacts } from './log.ts';
import { createMetrics } from './metrics.ts';
import { Intake } from './pace.ts';
import { type ListenerInfo, Readiness } from './readiness.ts';
import { openStores } from './storage.ts';
import { storeBlob } from './store-blob.ts';
import { TlsKeeper } from './tls-keeper.ts';
import { VERSION } from './version.ts';

/** Services by role, in starting order: whoever takes mail in starts last. */
const SERVICES = {
  offline: [
    'hints',
    'mailbox',
    'account',
    'domain',
    'alias',
    'apikey',
    'folder',
    'message',
    'queue',
    'trace',
    'model',
    'maintenance',
  ],
  filters: ['authentication', 'attachments', 'spam', 'placement', 'delivery', 'feedback', 'search'],
  edges: ['lmtp', 'submission', 'smtp', 'pop3', 'imap', 'gateway'],
} as const;

const namesOf = (roles: 'all' | 'offline'): readonly string[] =>
  roles === 'all' ? [...SERVICES.offline, ...SERVICES.filters, ...SERVICES.edges] : SERVICES.offline;

export interface Node {
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

export async function startNode(config: Config, options: { readonly roles: 'all' | 'offline' }): Promise<Node> {
  const now = Date.now;
  const log = createLog(config);
  const metrics = createMetrics();
  const stores = await openStores(config, now);
  const fault = (room: string) => (error: unknown) => {
    metrics.faults.inc({ room });
    log.error({ room, ...errorFacts(error) }, 'fault');
  };
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
    hints: new HintHub(fault('hints')),
    tls,
    authenticator,
    readiness,
    intake: new Intake(),
    doorsOpen,
    now,
  };
  const broker = new ServiceBroker(brokerOptions(config, `${hostname()}-${process.pid}-${base32(randomBytes(4))}`));
  attachContext(broker, context);

  const stop = async (): Promise<void> => {
    readiness.drain();
    await broker.stop();
    tls.close();
    await stores.close();
    log.flush();
  };
  try {
    if (options.roles === 'all') await tls.open(now());
    for (const name of namesOf(options.roles)) broker.createService(await loadService(name));
    const started = broker.start();
    let first: FirstStart | null = null;
    if (options.roles === 'all') {
      // Nobody may be told that an account does not exist while it is being made: listeners open last.
      await Promise.race([started, broker.waitForServices(['mailbox', 'domain', 'account'])]);
      first = await firstStart(broker, config);
      openDoors();
    }
    await started;
    if (first !== null) await firstStartOver(config);
    readiness.set('services', true);
    metrics.ready.set(1);
    return {
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
