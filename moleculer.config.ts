/**
 * The broker's options; no other file sets any. Timeouts and heartbeats are explicit because Moleculer's defaults never
 * time out and notice a dead node only after half a minute.
 */

import { type BrokerOptions, type Context, Errors, Strategies } from 'moleculer';
import type { Config } from './core/config/load.ts';
import { ClientError, Fault, Fenced, MailError, TemporaryError } from './core/mail/errors.ts';
import { REPLIES, type ReplyKey } from './core/mail/reply.ts';
import { OwnerCache } from './core/mesh/owner-table.ts';
import { packets } from './mixins/packets.ts';

/** Brings our errors back when they cross a wire, where Moleculer would make plain ones of them. */
class MailErrorRegenerator extends Errors.Regenerator {
  override restoreCustomError(plain: Errors.PlainMoleculerError): Error {
    const { name, message, data } = plain as Errors.PlainMoleculerError & { data?: { reply?: string; facts?: object } };
    const reply = (data?.reply !== undefined && data.reply in REPLIES ? data.reply : 'fault') as ReplyKey;
    const facts = (data?.facts ?? {}) as MailError['facts'];
    switch (name) {
      case 'ClientError':
        return new ClientError(reply, facts);
      case 'TemporaryError':
        return new TemporaryError(reply, facts);
      case 'Fenced':
        return new Fenced(facts);
      case 'Fault':
        return new Fault(message ?? 'fault', facts);
      default:
        // Moleculer then makes one of its own; its type does not say that it may be undefined.
        return undefined as unknown as Error;
    }
  }

  override extractPlainError(error: Error): Errors.PlainMoleculerError {
    const plain = super.extractPlainError(error);
    if (error instanceof MailError) return { ...plain, data: { reply: error.reply, facts: error.facts } };
    return plain;
  }
}

/**
 * JSON makes plain objects of typed arrays, which commits carry as uids and bytes. Their memory is little-endian on every
 * platform that is supported.
 */
const typedArray = (prefix: string, Type: typeof Uint8Array | typeof Uint32Array | typeof Float64Array) => ({
  prefix,
  check: (value: unknown) => value instanceof Type,
  serialize: ({ buffer, byteOffset, byteLength }: Uint8Array) =>
    Buffer.from(buffer, byteOffset, byteLength).toString('base64'),
  // A copy of its own: pooled memory is not aligned.
  deserialize: (text: string) => new Type(Uint8Array.from(Buffer.from(text, 'base64')).buffer),
});

/** An endpoint, as far as strategies look at it. */
interface Endpoint {
  readonly id: string;
  readonly local: boolean;
  readonly node: { readonly metadata: { readonly draining?: boolean } | null };
}

/** Nodes that drain are asked only when there are no others. */
function takingWork(all: readonly Endpoint[]): readonly Endpoint[] {
  const open = all.filter(({ node }) => node.metadata?.draining !== true);
  return open.length > 0 ? open : all;
}

/** The node's own services first, then the others' in turn. */
class Nearest extends Strategies.Base {
  #turn = 0;

  override select(list: never): never {
    const all = list as unknown as readonly Endpoint[];
    const near = all.find(({ local }) => local);
    if (near !== undefined) return near as never;
    const open = takingWork(all);
    this.#turn = (this.#turn + 1) % open.length;
    return open[this.#turn] as never;
  }
}

/** Accounts whose node is remembered. */
const ACCOUNTS_MAX = 20_000;

/** The node in charge of `params.account`: the same for whoever asks (core/mesh/rendezvous.ts). */
class Rendezvous extends Strategies.Base {
  readonly #owners = new OwnerCache(ACCOUNTS_MAX);
  #nodes: readonly string[] = [];

  override select(list: never, ctx: Context<{ account?: unknown }>): never {
    const open = takingWork(list as unknown as readonly Endpoint[]);
    if (open.length !== this.#nodes.length || open.some(({ id }, i) => id !== this.#nodes[i])) {
      this.#nodes = open.map(({ id }) => id);
      this.#owners.update(this.#nodes.map((id) => ({ id })));
    }
    const owner = this.#owners.ownerOf(String(ctx.params.account));
    return (open.find(({ id }) => id === owner) ?? open[0]) as never;
  }
}

// By name: the definitions of actions travel between nodes, where a class could not.
Strategies.register('Rendezvous', Rendezvous as never);

/** What joins a node to others. */
export interface Transport {
  /** Tells meshes apart that share a NATS. */
  readonly namespace: string;
  readonly transporter: NonNullable<BrokerOptions['transporter']>;
}

/** @param nodeId names the node in the mesh @param transport null for a node that is alone by design */
export const brokerOptions = (config: Config, nodeId: string, transport: Transport | null): BrokerOptions => ({
  namespace: transport?.namespace ?? 'mailmesh',
  nodeID: nodeId,
  ...(transport === null ? {} : { transporter: transport.transporter, middlewares: [packets()] }),
  metadata: { draining: false, startedAt: Date.now() },
  // Our own log has one line per event of the mail; the broker speaks up only when something is wrong.
  logger:
    config.logLevel === 'trace' || config.logLevel === 'debug'
      ? { type: 'Console', options: { level: 'info' } }
      : false,
  serializer: {
    type: 'JSONExt',
    options: {
      customs: [typedArray('U8', Uint8Array), typedArray('U32', Uint32Array), typedArray('F64', Float64Array)],
    },
  },
  requestTimeout: 10_000,
  retryPolicy: { enabled: false },
  circuitBreaker: { enabled: false },
  heartbeatInterval: 2,
  heartbeatTimeout: 5,
  tracking: { enabled: true, shutdownTimeout: config.drainTimeoutMs },
  // Preferring what is near is the strategy's doing: for sharded actions it would be wrong.
  registry: {
    strategy: Nearest as never,
    preferLocal: false,
    // Nodes that fell silent are looked for by mixins/mesh.ts.
    discoverer: { type: 'Local', options: { disableHeartbeatChecks: true } } as never,
  },
  metrics: false,
  tracing: false,
  errorRegenerator: new MailErrorRegenerator(),
  skipProcessEventRegistration: true,
  internalServices: false,
});
