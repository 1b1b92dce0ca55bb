/** A message bus in memory, as NATS is one: carries to every subscriber, the publisher included, at most once. */

import type { MessageBus } from '../../core/ports/message-bus.ts';

const LARGE_BYTES = 10_000;

interface Message {
  readonly subject: string;
  readonly bytes: Uint8Array;
}

export class MemoryBus implements MessageBus {
  isConnected = true;
  bytesMax = 1024 * 1024;
  /** What is carried instead of a message: nothing, where it is lost; several, where it is doubled. */
  way: (message: Message) => readonly Message[] = (message) => [message];
  /** Bytes of large messages published since the last flush, and the most that they ever were. */
  buffered = 0;
  bufferedMax = 0;
  readonly published: Message[] = [];
  readonly #changes = new Set<(connected: boolean) => void>();
  readonly #listeners = new Set<{ subject: string; listener: (bytes: Uint8Array) => void }>();

  publish(subject: string, bytes: Uint8Array): boolean {
    if (!this.isConnected) return false;
    if (bytes.length > this.bytesMax) throw new Error('larger than the server takes');
    this.published.push({ subject, bytes });
    if (bytes.length >= LARGE_BYTES) this.buffered += bytes.length;
    this.bufferedMax = Math.max(this.bufferedMax, this.buffered);
    for (const message of this.way({ subject, bytes })) this.carry(message);
    return true;
  }

  carry({ subject, bytes }: Message): void {
    for (const one of [...this.#listeners]) {
      const parts = one.subject.split('.');
      if (subject.split('.').every((part, i) => parts[i] === '*' || parts[i] === part)) one.listener(bytes);
    }
  }

  subscribe(subject: string, listener: (bytes: Uint8Array) => void): () => void {
    const entry = { subject, listener };
    this.#listeners.add(entry);
    return () => void this.#listeners.delete(entry);
  }

  get subscriptions(): number {
    return this.#listeners.size;
  }

  async flush(): Promise<void> {
    await new Promise(setImmediate);
    this.buffered = 0;
  }

  onUnheard(): () => void {
    return () => undefined;
  }

  onChange(listener: (connected: boolean) => void): () => void {
    this.#changes.add(listener);
    return () => void this.#changes.delete(listener);
  }

  /** The connection breaks, or stands again. */
  connect(connected: boolean): void {
    this.isConnected = connected;
    for (const listener of this.#changes) listener(connected);
  }
}
