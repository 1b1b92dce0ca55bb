/**
 * What nodes send each other, on its way out and in: large packets are compressed, and put together where they came in
 * pieces; what comes in and is not ours (garbage, too large, of another version or form) is dropped and counted, whatever
 * it is. Packets of ours are JSON objects, so their first byte tells which they are. An answer that cannot be sent becomes
 * an error that can, and one that does not come ends its request. Of two nodes that go by one name the younger one ends.
 */

import { type Context, Errors, type Middleware, type ServiceBroker } from 'moleculer';
import { asMailError, TemporaryError } from '../core/mail/errors.ts';
import { contextOf } from './context.ts';
import { DropLog } from './drop-log.ts';
import { hasForm, INFO_BYTES_MAX } from './packet-forms.ts';
import { isPacked, pack, Unpacker } from './packet-packing.ts';
import { INCOMPLETE_MS, isPiece, PieceCollector } from './packet-pieces.ts';
import { hasRoom, type NodeInfo } from './registry-room.ts';
import { TwinWatch } from './twin-watch.ts';

const OBJECT = '{'.charCodeAt(0);
/** A younger node of the same name is told at most so often that this one is there. */
const TOLD_MS = 1_000;

interface Info extends NodeInfo {
  readonly ver?: unknown;
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
type Handle = (command: string, packet: { readonly payload: Info }) => unknown;
type Send = (topic: string, data: Buffer, meta: unknown) => Promise<void>;
type Receive = (command: string, data: Buffer, more: unknown) => unknown;

export function packets(): Middleware {
  let dropped = (_command: string, _why: string): void => undefined;
  const tell = (command: string, error: unknown): void =>
    // What the parser says quotes the packet.
    dropped(command, error instanceof SyntaxError ? 'not JSON' : (error as Error).message);
  const unpacker = new Unpacker();
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
      let lines: DropLog | undefined;
      dropped = (command, detail) => {
        const { log, metrics } = contextOf(broker);
        metrics.packetsDropped.inc();
        lines ??= new DropLog(log, 'packet.dropped');
        lines.tell({ command, detail });
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
      const twin = new TwinWatch(
        async () => (await contextOf(broker).stores.mesh?.hasTwin()) ?? false,
        () => {
          process.stderr.write(
            `mailmesh: there is a node ${broker.nodeID} in the mesh: set another MAILMESH_NODE_ID\n`,
          );
          process.exit(1);
        },
      );
      let toldAt = Number.NEGATIVE_INFINITY;
      return (command, packet) => {
        const { payload } = packet;
        // What is of another version may have any form: the broker says so itself.
        if (payload.ver !== broker.PROTOCOL_VERSION) return next(command, packet);
        if (!hasForm(command, payload)) return dropped(command, 'not of the form of our packets');
        if (command !== 'INFO') return next(command, packet);
        const { sender, instanceID = '', metadata } = payload;
        if (sender !== broker.nodeID || instanceID === broker.instanceID)
          return hasRoom(broker, payload) ? next(command, packet) : dropped(command, 'too many nodes or names');
        const other = metadata?.startedAt ?? 0;
        const own = broker.metadata.startedAt as number;
        if (other > own || (other === own && instanceID > broker.instanceID)) {
          // It ends when it hears of this one.
          if (performance.now() - toldAt >= TOLD_MS) {
            toldAt = performance.now();
            void (broker.registry as unknown as Registry).discoverer.sendLocalNodeInfo();
          }
        } else twin.heard();
        return dropped(command, `another node calls itself ${sender}`);
      };
    },
    transporterSend(next: Send): Send {
      return async (topic, data, meta) => next(topic, await pack(data), meta);
    },
    transporterReceive(next: Receive): Receive {
      const pass = (command: string, data: Buffer, more: unknown): unknown => {
        if (command === 'INFO' && data.length > INFO_BYTES_MAX)
          return dropped(command, `${data.length} bytes are too many`);
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
        if (!isPacked(data)) return dropped(command, 'not a packet of ours');
        return unpacker.unpack(data).then(
          (plain) => pass(command, plain, more),
          (error: unknown) => tell(command, error),
        );
      };
    },
  } as unknown as Middleware;
}
