/**
 * The broker's packets on the node's message bus. The broker's own NATS transporter would open a second connection, know
 * less of addresses and tokens, let a node start only when NATS is there, and let what a handler throws end the process.
 * Packets larger than the bus takes leave in pieces (packet-pieces.ts), which the packets' middleware puts together.
 */

import { Transporters } from 'moleculer';
import { TemporaryError } from '../core/mail/errors.ts';
import type { MessageBus } from '../core/ports/message-bus.ts';
import { PieceCutter } from './packet-pieces.ts';
import { PacketTurns } from './packet-turns.ts';

/** Packets to one node that must be there. */
const ASKING: ReadonlySet<string | undefined> = new Set(['REQ', 'PING']);

/** Larger packets leave in turns; those that the bus takes still whole, for nodes that know no pieces. */
const SMALL_BYTES = 256 * 1024;

interface Sent {
  readonly packet?: { readonly type?: string; readonly target?: string | null };
}

export class BusTransporter extends Transporters.Base {
  readonly #bus: MessageBus;
  readonly #stops: (() => void)[] = [];
  readonly #cutter = new PieceCutter();
  readonly #turns: PacketTurns;

  constructor(bus: MessageBus) {
    super({});
    this.#bus = bus;
    this.#turns = new PacketTurns(() =>
      bus.flush().catch((error: Error) => {
        throw away(error);
      }),
    );
  }

  /** Does not wait for the server: whenever it is there (again), the others are told of this node. */
  override async connect(): Promise<void> {
    const tell = (connected: boolean): void => {
      if (connected) void this.onConnected(true);
    };
    const gone = (nodeId: string): void =>
      (this.broker.registry as unknown as Registry).nodes.disconnected(nodeId, true);
    this.#stops.push(this.#bus.onChange(tell), this.#bus.onUnheard(gone));
    await this.onConnected(false);
  }

  override async disconnect(): Promise<void> {
    // The broker's goodbye has to leave first.
    await this.#bus.flush();
    for (const stop of this.#stops.splice(0)) stop();
    this.connected = false;
  }

  override async subscribe(command: string, nodeId?: string): Promise<void> {
    const stop = this.#bus.subscribe(this.getTopicName(command, nodeId), (bytes) => {
      void this.receive(command, Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    });
    this.#stops.push(stop);
  }

  /** Throws where the broker would log and go on: the packets' middleware counts. */
  override incomingMessage(command: string, message?: Buffer): Promise<void> {
    const packet = this.deserialize(command, message!);
    return (this as unknown as Handler).messageHandler(command, packet);
  }

  override async send(topic: string, data: Buffer, meta: Sent): Promise<void> {
    const { type, target } = meta?.packet ?? {};
    // A node that ended without a word has no subscription any more: NATS says so at once.
    const token = ASKING.has(type) ? (target ?? undefined) : undefined;
    if (data.length <= Math.min(SMALL_BYTES, this.#bus.bytesMax)) {
      if (this.#bus.publish(topic, data, token)) return;
      // Whoever asked must hear that nobody was asked; everything else is said again when the server is back.
      if (type === 'REQ') throw away();
      return;
    }
    const { bytesMax } = this.#bus;
    const parts = data.length <= bytesMax ? [data].values() : this.#cutter.cut(data, Math.min(SMALL_BYTES, bytesMax));
    let told = token;
    await this.#turns.send(parts, data.length, (part) => {
      if (!this.#bus.publish(topic, part, told)) throw away();
      told = undefined;
    });
  }

  /** The broker is told to send each request to one node. */
  override async subscribeBalancedRequest(): Promise<void> {}
  override async subscribeBalancedEvent(): Promise<void> {}
}

const away = (cause?: Error): TemporaryError =>
  new TemporaryError('storeUnavailable', { detail: 'NATS is away', passing: true }, cause);

interface Registry {
  readonly nodes: { disconnected(id: string, unexpected: boolean): void };
}
interface Handler {
  messageHandler(command: string, packet: unknown): Promise<void>;
}
