/**
 * What nodes send each other, on its way out and in: large packets are compressed, and put together where they came in
 * pieces; what comes in and is not ours (garbage, too large, of another version) is dropped and counted, whatever it is.
 * Packets of ours are JSON objects, so their first byte tells which they are. An answer that cannot be sent becomes an
 * error that can, and one that does not come ends its request. Of two nodes that go by one name the younger one ends.
 */

import { deflate, inflate } from 'node:zlib';
import { type Context, Errors, type Middleware, type ServiceBroker } from 'moleculer';
import { asMailError, TemporaryError } from '../core/mail/errors.ts';
import { contextOf } from './context.ts';
import { INCOMPLETE_MS, isPiece, PACKET_BYTES_MAX, PieceCollector } from './packet-pieces.ts';

const COMPRESSED_FROM_BYTES = 32 * 1024;
const OBJECT = '{'.charCodeAt(0);
const DEFLATED = 1;

interface Info {
  readonly sender?: string;
  readonly instanceID?: string;
  readonly metadata?: { readonly startedAt?: number };
}
interface Registry {
  readonly discoverer: { sendLocalNodeInfo(): Promise<void> };
}
interface Answer {
  readonly id: string;
  readonly success: boolean;
}
interface Outgoing {
  readonly type: string;
  readonly target: string | null;
  readonly payload: Answer;
}
type Ask = (ctx: Context) => Promise<unknown>;
type Publish = (packet: Outgoing) => Promise<void>;
type Handle = (command: string, packet: { readonly payload?: Info }) => unknown;
type Send = (topic: string, data: Buffer, meta: unknown) => Promise<void>;
type Receive = (command: string, data: Buffer, more: unknown) => unknown;

const compress = (data: Buffer): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    // No other node would unpack it.
    if (data.length > PACKET_BYTES_MAX)
      throw new TemporaryError('storeUnavailable', { detail: `a packet of ${data.length} bytes is too large` });
    deflate(data, { level: 1 }, (error, packed) => {
      if (error !== null) reject(error);
      else resolve(Buffer.concat([Buffer.of(DEFLATED), packed]));
    });
  });

const decompress = (data: Buffer): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    inflate(data.subarray(1), { maxOutputLength: PACKET_BYTES_MAX }, (error, plain) => {
      if (error !== null) reject(error);
      else resolve(plain);
    });
  });

export function packets(): Middleware {
  let dropped = (_command: string, _why: string): void => undefined;
  const tell = (command: string, error: unknown): void => dropped(command, (error as Error).message);
  const pieces = new PieceCollector((command, why) => dropped(command, why));
  let timer: NodeJS.Timeout | undefined;
  /** While something is incomplete, what stays so is looked for. */
  const watch = (): void => {
    if (pieces.size === 0 || timer !== undefined) return;
    timer = setTimeout(() => {
      timer = undefined;
      pieces.expire(performance.now());
      watch();
    }, INCOMPLETE_MS).unref();
  };
  return {
    name: 'Packets',
    created(broker: ServiceBroker) {
      dropped = (command, detail) => {
        const { log, metrics } = contextOf(broker);
        metrics.packetsDropped.inc();
        log.warn({ command, detail }, 'packet.dropped');
      };
      // What the broker itself finds wrong with a packet: no JSON, another protocol version, no sender.
      broker.localBus.on('$transit.error', ({ error, type }: { error: Error; type: string }) => {
        if (type === 'failedProcessingPacket') tell('packet', error);
      });
    },
    stopped() {
      clearTimeout(timer);
    },
    /**
     * The broker's own time limit lies outside of what keeps account of requests: there, one whose answer was lost would be
     * under way for ever, and every stop wait for it.
     */
    remoteAction(next: Ask): Ask {
      return (ctx) => {
        const timeoutMs = ctx.options.timeout ?? 0;
        if (timeoutMs <= 0) return next(ctx);
        return new Promise((resolve, reject) => {
          const late = setTimeout(() => {
            const { action, nodeID } = ctx;
            reject(new Errors.RequestTimeoutError({ action: action!.name, nodeID: nodeID! }));
          }, timeoutMs);
          next(ctx)
            .then(resolve, reject)
            .finally(() => clearTimeout(late));
        });
      };
    },
    transitPublish(this: { readonly broker: ServiceBroker }, next: Publish): Publish {
      const { broker } = this;
      return async (packet) => {
        try {
          // Also what a serializer throws that cannot hold it.
          await next(packet);
        } catch (error) {
          const { type, target, payload } = packet;
          if (type !== 'RES' || !payload.success) throw error;
          // The broker would tell nobody, and the other node wait until its time is up.
          const { id } = payload;
          const { facts, message } = asMailError(error);
          const detail = facts.detail ?? message;
          contextOf(broker).log.warn({ command: type, node: target, detail }, 'packet.unsent');
          const unsent = new TemporaryError('storeUnavailable', { ...facts, detail });
          const plain = broker.errorRegenerator!.extractPlainError(unsent, {} as never);
          await next({ type, target, payload: { id, meta: {}, success: false, data: null, error: plain } as Answer });
        }
      };
    },
    transitMessageHandler(this: { readonly broker: ServiceBroker }, next: Handle): Handle {
      const { broker } = this;
      return (command, packet) => {
        const { sender, instanceID = '', metadata } = packet.payload ?? {};
        if (command !== 'INFO' || sender !== broker.nodeID || instanceID === broker.instanceID)
          return next(command, packet);
        const other = metadata?.startedAt ?? 0;
        const own = broker.metadata.startedAt as number;
        if (other > own || (other === own && instanceID > broker.instanceID)) {
          // It ends when it hears of this one.
          void (broker.registry as unknown as Registry).discoverer.sendLocalNodeInfo();
          return dropped(command, `another node calls itself ${sender}`);
        }
        process.stderr.write(`mailmesh: there is a node ${sender} in the mesh: set another MAILMESH_NODE_ID\n`);
        return process.exit(1);
      };
    },
    transporterSend(next: Send): Send {
      return async (topic, data, meta) =>
        next(topic, data.length < COMPRESSED_FROM_BYTES ? data : await compress(data), meta);
    },
    transporterReceive(next: Receive): Receive {
      const pass = (command: string, data: Buffer, more: unknown): unknown => {
        try {
          const done = next(command, data, more);
          return done instanceof Promise ? done.catch((error: unknown) => tell(command, error)) : done;
        } catch (error) {
          return tell(command, error);
        }
      };
      return (command, received, more) => {
        let data = received;
        if (isPiece(data)) {
          const whole = pieces.add(command, data, performance.now());
          watch();
          if (whole === undefined) return;
          data = whole;
        }
        if (data[0] === OBJECT) return pass(command, data, more);
        if (data[0] !== DEFLATED) return dropped(command, 'not a packet of ours');
        return decompress(data).then(
          (plain) => pass(command, plain, more),
          (error: unknown) => tell(command, error),
        );
      };
    },
  } as unknown as Middleware;
}
