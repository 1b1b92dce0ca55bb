/**
 * Whether the queue takes more mail: beyond a number of waiting messages senders are asked to keep theirs for now. The
 * number is only measured when so many have been accepted here since that the answer could be another, never per message;
 * several nodes together may thus go beyond it by a part.
 */

import type { Queue } from '../core/ports/queue.ts';

/** Of the bound: so many acceptances by this node pass between two measurements. */
const SHARE = 1 / 16;
/** A full queue is looked at again after this. */
const AGAIN_MS = 1_000;

const rooms = new WeakMap<object, QueueRoom>();

/** The one of this node: its listeners fill one queue. */
export function roomOf(queue: Pick<Queue, 'depth'>, messagesMax: number): QueueRoom {
  const room = rooms.get(queue) ?? new QueueRoom(queue, messagesMax);
  rooms.set(queue, room);
  return room;
}

export class QueueRoom {
  readonly #queue: Pick<Queue, 'depth'>;
  readonly #messagesMax: number;
  readonly #acceptedMax: number;
  #accepted = 0;
  #full = false;
  #measuredAt = Number.NEGATIVE_INFINITY;
  #measuring: Promise<boolean> | undefined;

  constructor(queue: Pick<Queue, 'depth'>, messagesMax: number) {
    this.#queue = queue;
    this.#messagesMax = messagesMax;
    this.#acceptedMax = Math.ceil(messagesMax * SHARE);
  }

  accepted(): void {
    this.#accepted++;
  }

  /** Rejects when the queue can't be asked. */
  isFull(now: number): Promise<boolean> | boolean {
    const isOld = this.#full ? now - this.#measuredAt >= AGAIN_MS : this.#accepted >= this.#acceptedMax;
    if (!isOld) return this.#full;
    this.#measuring ??= this.#measure(now).finally(() => {
      this.#measuring = undefined;
    });
    return this.#measuring;
  }

  async #measure(now: number): Promise<boolean> {
    this.#accepted = 0;
    const depths = await this.#queue.depth(now);
    // Every message has one job of this stage, and it is the last to be done.
    const delivery = depths.find(({ stage }) => stage === 'delivery');
    const waiting =
      delivery === undefined ? 0 : delivery.blocked + delivery.ready + delivery.running + delivery.waiting;
    this.#measuredAt = now;
    this.#full = waiting >= this.#messagesMax;
    return this.#full;
  }
}
