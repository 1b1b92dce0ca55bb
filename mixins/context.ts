/** What every service of a node finds beside its broker: configuration, stores, log, metrics, hints and TLS. */

import type { ServiceBroker, ServiceSchema } from 'moleculer';
import type { Logger } from 'pino';
import type { Config } from '../core/config/load.ts';
import type { ServiceName } from '../core/mesh/roles.ts';
import type { Authenticator } from '../core/sasl/authenticator.ts';
import type { HintBus } from './hint-bus.ts';
import type { HintHub } from './hint-hub.ts';
import type { Mesh } from './mesh.ts';
import type { Metrics } from './metrics.ts';
import type { Intake } from './pace.ts';
import type { Readiness } from './readiness.ts';
import type { Stores } from './storage.ts';
import type { TlsKeeper } from './tls-keeper.ts';

export interface NodeContext {
  readonly config: Config;
  /** The program's version. */
  readonly version: string;
  readonly stores: Stores;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly hints: HintHub;
  /** Carries hints between nodes; null for a node that is alone by design. */
  readonly hintBus: HintBus | null;
  readonly mesh: Mesh;
  readonly services: readonly ServiceName[];
  /** Definitions of the services that the REST API is made of, where this node has the gateway. */
  readonly api: readonly ServiceSchema[];
  readonly tls: TlsKeeper;
  readonly authenticator: Authenticator;
  readonly readiness: Readiness;
  readonly intake: Intake;
  /** Resolves when the node is set up and listeners may accept. */
  readonly doorsOpen: Promise<void>;
  readonly now: () => number;
}

const contexts = new WeakMap<ServiceBroker, NodeContext>();

export const attachContext = (broker: ServiceBroker, context: NodeContext): void => {
  contexts.set(broker, context);
};

/** The context of the node that a broker belongs to. Throws when the broker was not made by `startNode`. */
export function contextOf(broker: ServiceBroker): NodeContext {
  const context = contexts.get(broker);
  if (context === undefined) throw new Error('this broker has no node context: start it by startNode');
  return context;
}
