/**
 * What nodes send each other, on its way out and in: large packets are compressed, because NATS takes at most 1 MB; what
 * comes in and is not ours (garbage, too large, of another version) is dropped and counted, whatever it is. Packets of
 * ours are JSON objects, so their first byte tells which they are. Of two nodes that go by one name the younger one ends.
 */

import { deflate, inflate } from 'node:zlib';
import type { Middleware, ServiceBroker } from 'moleculer';
import { contextOf } from './context.ts';

const COMPRESSED_FROM_BYTES = 32 * 1024;
/** Nothing that a node sends comes near it; beyond, decompressing would be an attack. */
const PACKET_BYTES_MAX = 64 * 1024 * 1024;
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
type Handle = (command: string, packet: { readonly payload?: Info }) => unknown;
type Send = (topic: string, data: Buffer, meta: unknown) => Promise<void>;
type Receive = (command: string, data: Buffer, more: unknown) => unknown;

const compress = (data: Buffer): Promise<Buffer> =>
  new Promise((resolve, reject) => {
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
      return (command, data, more) => {
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
