/**
 * One TCP connection of a load generator: cheap on CPU, in lockstep (ask, then read until the answer is whole), and never
 * waiting for ever: a peer that is silent for too long is an error.
 */

import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

const SILENCE_MS = 60_000;

/** Takes a piece of what the peer sent; true when the answer is whole. */
export type Consumer = (chunk: Buffer) => boolean;

export class Connection {
  readonly #socket: Socket;
  #early: Buffer[] = [];
  #consumer: Consumer | undefined;
  #settle: { resolve: () => void; reject: (error: Error) => void } | undefined;
  #broken: Error | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.setTimeout(SILENCE_MS, () => {
      if (this.#settle !== undefined) socket.destroy(new Error(`no answer within ${SILENCE_MS} ms`));
    });
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    socket.on('error', (error) => this.#fail(error));
    socket.on('close', () => this.#fail(new Error('the server closed the connection')));
  }

  static async open(port: number): Promise<Connection> {
    const socket = connect({ host: '127.0.0.1', port });
    await once(socket, 'connect');
    return new Connection(socket);
  }

  write(bytes: Buffer | string): void {
    this.#socket.write(bytes);
  }

  /** Several pieces in as few packets as they fit into. */
  writeAll(pieces: readonly (Buffer | string)[]): void {
    this.#socket.cork();
    for (const piece of pieces) this.#socket.write(piece);
    this.#socket.uncork();
  }

  /** Feeds what comes (and what came before) to the consumer until it has its answer. One reader at a time. */
  receive(consumer: Consumer): Promise<void> {
    if (this.#broken !== undefined) return Promise.reject(this.#broken);
    while (this.#early.length > 0) if (consumer(this.#early.shift()!)) return Promise.resolve();
    this.#consumer = consumer;
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
  }

  close(): void {
    this.#broken ??= new Error('closed');
    this.#socket.destroy();
  }

  #take(chunk: Buffer): void {
    if (this.#consumer === undefined) {
      this.#early.push(chunk);
      return;
    }
    if (!this.#consumer(chunk)) return;
    const settle = this.#settle!;
    this.#consumer = undefined;
    this.#settle = undefined;
    settle.resolve();
  }

  #fail(error: Error): void {
    this.#broken ??= error;
    this.#settle?.reject(this.#broken);
    this.#settle = undefined;
    this.#consumer = undefined;
  }
}
