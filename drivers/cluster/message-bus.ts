/**
 * Messages between nodes over core NATS, on the node's one connection. Subscriptions belong to the bus, not to the
 * connection: a connection made anew gets all of them again.
 */

import { createInbox, type NatsConnection, type Subscription } from 'nats';
import { TemporaryError } from '../../core/mail/errors.ts';
import type { MessageBus } from '../../core/ports/message-bus.ts';
import type { Nats } from './nats.ts';

/** NATS's own default, for the time before a server has said its own. */
const BYTES_MAX = 1024 * 1024;

interface Entry {
  readonly subject: string;
  readonly listener: (bytes: Uint8Array) => void;
  subscription: Subscription | undefined;
}

export class NatsMessageBus implements MessageBus {
  readonly #nats: Nats;
  readonly #failed: (error: unknown) => void;
  readonly #entries = new Set<Entry>();
  /** The one that the subscriptions are on. */
  #connection: NatsConnection | undefined;
  /** The server itself answers there, when nobody heard a message: nothing else ever does. */
  readonly #inbox = createInbox();
  readonly #unheard = new Set<(token: string) => void>();

  /** @param options.failed is told what a listener threw */
  constructor(options: { readonly nats: Nats; readonly failed: (error: unknown) => void }) {
    this.#nats = options.nats;
    this.#failed = options.failed;
    this.#nats.onChange((connected) => {
      if (connected) this.#renew();
    });
    this.#renew();
  }

  get isConnected(): boolean {
    return this.#nats.connected;
  }

  get bytesMax(): number {
    return this.#nats.connection?.info?.max_payload ?? BYTES_MAX;
  }

  publish(subject: string, bytes: Uint8Array, token?: string): boolean {
    const { connection } = this.#nats;
    if (connection === undefined) return false;
    if (bytes.length > this.bytesMax)
      throw new TemporaryError('storeUnavailable', {
        detail: `a message of ${bytes.length} bytes is larger than NATS takes (${this.bytesMax})`,
      });
    connection.publish(subject, bytes, token === undefined ? {} : { reply: `${this.#inbox}.${token}` });
    return true;
  }

  onUnheard(listener: (token: string) => void): () => void {
    this.#unheard.add(listener);
    return () => void this.#unheard.delete(listener);
  }

  subscribe(subject: string, listener: (bytes: Uint8Array) => void): () => void {
    const entry: Entry = { subject, listener, subscription: undefined };
    this.#entries.add(entry);
    if (this.#connection !== undefined) this.#attach(entry, this.#connection);
    return () => {
      this.#entries.delete(entry);
      entry.subscription?.unsubscribe();
    };
  }

  async flush(): Promise<void> {
    await this.#nats.connection?.flush();
  }

  onChange(listener: (connected: boolean) => void): () => void {
    return this.#nats.onChange(listener);
  }

  /** The client itself keeps subscriptions while it reconnects. */
  #renew(): void {
    const { connection } = this.#nats;
    if (connection === undefined || connection === this.#connection) return;
    this.#connection = connection;
    for (const entry of this.#entries) this.#attach(entry, connection);
    connection.subscribe(`${this.#inbox}.*`, {
      callback: (_, { subject }) => {
        const token = subject.slice(this.#inbox.length + 1);
        for (const listener of this.#unheard) listener(token);
      },
    });
  }

  #attach(entry: Entry, connection: NatsConnection): void {
    if (connection.isClosed()) return;
    entry.subscription = connection.subscribe(entry.subject, {
      callback: (error, message) => {
        try {
          if (error !== null) throw error;
          entry.listener(message.data);
        } catch (thrown) {
          this.#failed(thrown);
        }
      },
    });
  }
}
