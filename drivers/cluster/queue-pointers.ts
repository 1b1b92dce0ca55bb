/**
 * Pointers to jobs that may be ready, over JetStream: `<prefix>.jobs.<stage>` says which message, and each pointer goes to
 * one of the nodes that run the stage. Losing pointers delays and loses nothing: the custody record is the truth, and
 * claimers ask for it by themselves. What is not a pointer is dropped with one line and counted.
 */

import {
  AckPolicy,
  type ConsumerMessages,
  DeliverPolicy,
  DiscardPolicy,
  type JsMsg,
  RetentionPolicy,
  StorageType,
} from 'nats';
import type { Facts } from '../../core/mail/errors.ts';
import type { QueueId } from '../../core/mail/ids.ts';
import { type Nats, natsTrouble } from './nats.ts';
import type { Ticket } from './queue-claimers.ts';

/** Of these messages: the first character of each. */
const FORMAT = '1';
const POINTER = /^1 ([0-9a-z]{16}) ([0-9a-z]{1,16})$/;
const BYTES_MAX = 256;
const POINTERS_MAX = 1_000_000;
const NS_PER_MS = 1_000_000;
const AGE_MS_MAX = 3_600_000;
/** A node that took a pointer and did nothing with it is slow or gone. */
const ACK_MS = 30_000;
const DELIVERIES_MAX = 5;
/** Of one node, for one stage: fetched ahead, and as many not taken by a claimer. The others are left to the other nodes. */
const AHEAD = 16;
const PUBLISH_MS = 5_000;
const AGAIN_MS = 2_000;
/** Lines about dropped messages, at most one in this time. */
const DROPPED_MS = 60_000;

interface PointersOptions {
  readonly nats: Nats;
  readonly prefix: string;
  /** Names this process in its own pointers. */
  readonly instance: string;
  readonly report: (event: string, facts: Facts) => void;
  /** @param own this process has sent it */
  readonly receive: (stage: string, ticket: Ticket, own: boolean) => void;
  /** Resolves when fewer than `most` pointers wait for a claimer here. */
  readonly room: (stage: string, most: number) => Promise<void>;
  /** Pointers reach this process, which they did not before, or no longer. What others made ready meanwhile was not told. */
  readonly changed: (ready: boolean) => void;
}

export class Pointers {
  readonly #options: PointersOptions;
  readonly #stream: string;
  readonly #followed = new Map<string, ConsumerMessages | null>();
  #ready = false;
  #trouble: string | null = null;
  #ensuring: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #unsubscribe: (() => void) | undefined;
  #closed = false;
  #dropped = 0;
  #droppedToldAt = Number.NEGATIVE_INFINITY;

  constructor(options: PointersOptions) {
    this.#options = options;
    this.#stream = `${options.prefix}-jobs`;
  }

  /** Resolves when the stream is there, or it is known that it cannot be had now. */
  async open(): Promise<void> {
    this.#unsubscribe = this.#options.nats.onChange((connected) => {
      this.#setReady(false);
      // What was fetched before is fetched again by whoever is there.
      for (const stage of this.#followed.keys()) this.#stopFollowing(stage);
      if (connected) void this.#ensure();
    });
    if (this.#options.nats.connected) await this.#ensure();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#ready = false;
    clearTimeout(this.#timer);
    this.#unsubscribe?.();
    await this.#ensuring;
    for (const stage of this.#followed.keys()) this.#stopFollowing(stage);
  }

  /** Pointers reach other nodes and this one. */
  get isReady(): boolean {
    return this.#ready && this.#options.nats.connected;
  }

  /** One line for the operator, or null. */
  get trouble(): string | null {
    return this.#options.nats.trouble ?? this.#trouble;
  }

  /** Messages on the queue's subjects that were none of its own. */
  get dropped(): number {
    return this.#dropped;
  }

  /** When the stream was made, as NATS says now: no other NATS says the same. null where it cannot be asked. */
  async identity(): Promise<string | null> {
    const { manager } = this.#options.nats;
    if (manager === undefined || !this.#ready) return null;
    try {
      return (await manager.streams.info(this.#stream)).created;
    } catch (error) {
      // A stream that is gone is made again.
      this.#failed(error);
      return null;
    }
  }

  /** From now on this process takes pointers to jobs of the stage. */
  follow(stage: string): void {
    if (this.#followed.has(stage)) return;
    this.#followed.set(stage, null);
    if (this.isReady) void this.#follow(stage);
  }

  /** Tells one of the nodes that run the stage, if NATS is there. */
  publish(stage: string, queueId: QueueId): void {
    const { nats, instance } = this.#options;
    const connection = nats.connection;
    if (!this.#ready || connection === undefined) return;
    connection
      .jetstream({ timeout: PUBLISH_MS })
      .publish(this.#subject(stage), `${FORMAT} ${queueId} ${instance}`)
      .catch((error) => this.#failed(error));
  }

  #subject = (stage: string): string => `${this.#options.prefix}.jobs.${stage}`;

  /** Makes the stream and the followed stages' consumers; all nodes may do so at once. */
  #ensure(): Promise<void> {
    this.#ensuring ??= this.#make().finally(() => {
      this.#ensuring = undefined;
    });
    return this.#ensuring;
  }

  async #make(): Promise<void> {
    const manager = this.#options.nats.manager;
    if (manager === undefined || this.#closed) return;
    try {
      await manager.streams
        .add({
          name: this.#stream,
          subjects: [this.#subject('*')],
          retention: RetentionPolicy.Workqueue,
          storage: StorageType.File,
          discard: DiscardPolicy.Old,
          max_msgs: POINTERS_MAX,
          max_msg_size: BYTES_MAX,
          max_age: AGE_MS_MAX * NS_PER_MS,
        })
        // A stream that an operator has set up otherwise (more replicas, another store) is used as it is.
        .catch(async (error) => {
          const { config } = await manager.streams.info(this.#stream).catch(() => {
            throw error;
          });
          if (!config.subjects.includes(this.#subject('*'))) throw error;
        });
      this.#setReady(true);
      this.#trouble = null;
      for (const [stage, messages] of this.#followed) if (messages === null) void this.#follow(stage);
    } catch (error) {
      this.#failed(error);
    }
  }

  #failed(error: unknown): void {
    if (this.#closed) return;
    const { nats, report } = this.#options;
    const line = natsTrouble(error, nats.place) ?? `NATS at ${nats.place}: ${(error as Error).message}`;
    this.#setReady(false);
    if (nats.connected && line !== this.#trouble) {
      this.#trouble = line;
      report('queue.pointers', { detail: line });
    }
    this.#againLater();
  }

  #setReady(is: boolean): void {
    if (this.#closed || this.#ready === is) return;
    this.#ready = is;
    this.#options.changed(is);
  }

  #againLater(): void {
    if (this.#closed) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      if (this.#options.nats.connected) void this.#ensure();
    }, AGAIN_MS).unref();
  }

  async #follow(stage: string): Promise<void> {
    const { nats } = this.#options;
    const { manager, connection } = nats;
    if (manager === undefined || connection === undefined) return;
    try {
      await manager.consumers
        .add(this.#stream, {
          durable_name: stage,
          filter_subject: this.#subject(stage),
          ack_policy: AckPolicy.Explicit,
          deliver_policy: DeliverPolicy.All,
          ack_wait: ACK_MS * NS_PER_MS,
          max_deliver: DELIVERIES_MAX,
          max_ack_pending: -1,
        })
        .catch(async (error) => {
          await manager.consumers.info(this.#stream, stage).catch(() => {
            throw error;
          });
        });
      const consumer = await connection.jetstream().consumers.get(this.#stream, stage);
      const messages = await consumer.consume({ max_messages: AHEAD, abort_on_missing_resource: true });
      if (this.#closed || this.#followed.get(stage) !== null) return void messages.close();
      this.#followed.set(stage, messages);
      for await (const message of messages) {
        this.#receive(stage, message);
        // Nothing more is asked for meanwhile: one who claims no more keeps nothing from others.
        await this.#options.room(stage, AHEAD);
      }
      // Ended without being told to: the stream or the consumer is gone.
      if (this.#followed.get(stage) === messages) throw new Error(`the consumer of ${stage} has ended`);
    } catch (error) {
      if (this.#closed) return;
      this.#stopFollowing(stage);
      this.#failed(error);
    }
  }

  #stopFollowing(stage: string): void {
    const messages = this.#followed.get(stage);
    this.#followed.set(stage, null);
    messages?.close().catch(() => {});
  }

  #receive(stage: string, message: JsMsg): void {
    const match = message.data.length <= BYTES_MAX ? POINTER.exec(Buffer.from(message.data).toString('latin1')) : null;
    if (match === null) {
      message.term();
      this.#drop(message);
      return;
    }
    const done = (againMs?: number): void => {
      // A bare nak would bring it back at once.
      if (againMs === undefined) message.ack();
      else message.nak(againMs);
    };
    this.#options.receive(stage, { queueId: match[1] as QueueId, done }, match[2] === this.#options.instance);
  }

  #drop(message: JsMsg): void {
    this.#dropped++;
    const at = performance.now();
    if (at - this.#droppedToldAt < DROPPED_MS) return;
    this.#droppedToldAt = at;
    this.#options.report('queue.message-dropped', {
      detail: 'a message on a subject of the queue is none of its own',
      subject: message.subject,
      bytes: message.data.length,
      dropped: this.#dropped,
    });
  }
}
