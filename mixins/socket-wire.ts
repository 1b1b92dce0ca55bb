/**
 * A Wire over a real socket: corks writes into one packet per turn, tells when the peer has taken them, upgrades to TLS,
 * and ends a peer that takes nothing for too long.
 */

import type { Socket } from 'node:net';
import { type SecureContext, TLSSocket } from 'node:tls';
import type { TlsInfo } from '../core/mail/envelope.ts';
import type { SessionId } from '../core/mail/ids.ts';
import type { Engine, Wire } from '../core/mail/wire.ts';

/** Unsent bytes above which `drained` waits. */
const HIGH_WATER_BYTES = 256 * 1024;
/** After `close`: how long the peer may take for what is still unsent, and then to close its side. */
const LAST_BYTES_MS = 60_000;
const LINGER_MS = 2_000;

export interface SocketWireOptions {
  readonly session: SessionId;
  readonly secureContext: () => SecureContext;
  readonly canStartTls: boolean;
  readonly handshakeTimeoutMs: number;
  readonly now: () => number;
  /** The engine broke its promise never to throw: the connection ends, the others go on. */
  readonly fault: (error: unknown) => void;
  /** Once, when the connection is gone. */
  readonly closed: (error: Error | undefined) => void;
}

const tlsInfo = (socket: TLSSocket): TlsInfo => ({
  version: socket.getProtocol() ?? 'TLS',
  cipher: socket.getCipher().name,
});

export class SocketWire implements Wire {
  readonly session: SessionId;
  readonly remote: { readonly address: string; readonly port: number };
  tls: TlsInfo | null = null;
  /** Milliseconds since 1970 of the last byte in either direction. */
  lastActive: number;
  #socket: Socket;
  #engine: Engine | undefined;
  #ended = false;
  #closing = false;
  /** The peer has closed its side: it may still read. */
  #peerEnded = false;
  /** The feed that is being worked on. */
  #feeding: Promise<void> | undefined;
  #lastTimer: NodeJS.Timeout | undefined;
  #waiters: { resolve: () => void; reject: (error: Error) => void }[] = [];
  #out: (Uint8Array | string)[] = [];
  readonly #options: SocketWireOptions;

  constructor(socket: Socket, options: SocketWireOptions) {
    this.#socket = socket;
    this.#options = options;
    this.session = options.session;
    this.remote = { address: (socket.remoteAddress ?? '').replace(/^::ffff:/, ''), port: socket.remotePort ?? 0 };
    this.lastActive = options.now();
    socket.setNoDelay(true);
    if (socket instanceof TLSSocket) this.tls = tlsInfo(socket);
    this.#attach(socket);
  }

  get canStartTls(): boolean {
    return this.#options.canStartTls && this.tls === null;
  }

  /** The engine waits for the peer to read. */
  get blocked(): boolean {
    return this.#waiters.length > 0;
  }

  /** Starts the engine and reading. */
  run(engine: Engine): void {
    this.#engine = engine;
    this.#guard(() => engine.start());
  }

  /** The time is over. */
  expire(): void {
    this.#guard(() => this.#engine?.expire());
  }

  /** The server shuts down: the engine ends and closes when it can. */
  drain(): void {
    this.#guard(() => this.#engine?.drain())?.catch((error: unknown) => this.#broken(error));
  }

  /** Calls the engine; what it throws ends this connection and nothing else. */
  #guard<T>(work: () => T): T | undefined {
    try {
      return work();
    } catch (error) {
      this.#broken(error);
      return undefined;
    }
  }

  write(bytes: Uint8Array | string): void {
    if (this.#ended || this.#closing) return;
    if (this.#out.push(bytes) === 1) queueMicrotask(() => this.#flush());
  }

  drained(): Promise<void> {
    this.#flush();
    if (this.#ended) return Promise.reject(new Error('the connection is gone'));
    if (this.#socket.writableLength < HIGH_WATER_BYTES) return Promise.resolve();
    return new Promise((resolve, reject) => this.#waiters.push({ resolve, reject }));
  }

  async startTls(): Promise<void> {
    const plain = this.#socket;
    if (this.#ended || this.#closing || this.#peerEnded) throw new Error('the connection is gone');
    this.#flush();
    plain.removeAllListeners('data');
    plain.pause();
    // What is left in the buffer was sent in plaintext behind the command (RFC 3207 §5).
    while (plain.read() !== null);
    await new Promise<void>((resolve) => plain.write('', () => resolve()));
    this.#detach(plain);
    plain.on('error', (error) => this.#socket.destroy(error));
    const secure = new TLSSocket(plain, { isServer: true, secureContext: this.#options.secureContext() });
    this.#socket = secure;
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(
        () => secure.destroy(new Error('TLS handshake timed out')),
        this.#options.handshakeTimeoutMs,
      );
      const settle = (error?: Error): void => {
        clearTimeout(timer);
        secure.off('error', settle);
        secure.off('end', ended);
        secure.off('close', ended);
        if (error === undefined) resolve();
        else {
          // Whatever else goes wrong with it is the same failure.
          secure.on('error', () => undefined);
          this.#gone(error);
          reject(error);
        }
      };
      const ended = (): void => {
        secure.destroy();
        settle(new Error('closed during the TLS handshake'));
      };
      secure.once('secure', () => settle());
      secure.once('error', settle);
      secure.once('end', ended);
      secure.once('close', ended);
    });
    this.tls = tlsInfo(secure);
    this.lastActive = this.#options.now();
    this.#attach(secure);
  }

  close(): void {
    if (this.#closing || this.#ended) return;
    this.#flush();
    this.#closing = true;
    const socket = this.#socket;
    // A peer that goes on sending, or takes nothing, must not keep the connection: these are no idle times.
    this.#lastTimer = setTimeout(() => socket.destroy(), LAST_BYTES_MS).unref();
    socket.end(() => {
      clearTimeout(this.#lastTimer);
      if (!this.#ended) this.#lastTimer = setTimeout(() => socket.destroy(), LINGER_MS).unref();
    });
    socket.resume();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #attach(socket: Socket): void {
    socket.on('data', this.#onData);
    socket.on('drain', this.#onDrain);
    socket.on('error', this.#onError);
    socket.on('end', this.#onEnd);
    socket.on('close', this.#onClose);
  }

  #detach(socket: Socket): void {
    socket.off('data', this.#onData);
    socket.off('drain', this.#onDrain);
    socket.off('error', this.#onError);
    socket.off('end', this.#onEnd);
    socket.off('close', this.#onClose);
  }

  readonly #onData = (chunk: Buffer): void => {
    this.lastActive = this.#options.now();
    if (this.#closing) return;
    const feeding = this.#guard(() => this.#engine?.feed(chunk));
    if (feeding === undefined) return;
    this.#feeding = feeding;
    this.#socket.pause();
    feeding.then(
      () => {
        if (this.#feeding === feeding) this.#fed();
      },
      (error: unknown) => this.#broken(error),
    );
  };

  #fed(): void {
    this.#feeding = undefined;
    if (this.#ended) return;
    if (this.#peerEnded) this.close();
    // STARTTLS may have put another socket in its place meanwhile.
    else this.#socket.resume();
  }

  readonly #onDrain = (): void => {
    this.lastActive = this.#options.now();
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter.resolve();
  };

  #error: Error | undefined;
  readonly #onError = (error: Error): void => {
    this.#error = error;
  };

  /** A peer that only closed its side is still answered: what it sent before is worked on to the end. */
  readonly #onEnd = (): void => {
    this.#peerEnded = true;
    if (this.#feeding === undefined) this.close();
  };

  readonly #onClose = (): void => this.#gone(this.#error);

  #gone(error: Error | undefined): void {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#lastTimer);
    this.#out = [];
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter.reject(error ?? new Error('the connection is gone'));
    this.#guard(() => this.#engine?.end());
    this.#options.closed(error);
  }

  #broken(error: unknown): void {
    this.#options.fault(error);
    this.destroy();
  }

  #flush(): void {
    if (this.#out.length === 0 || this.#ended) return;
    const out = this.#out;
    this.#out = [];
    if (out.length > 1) this.#socket.cork();
    for (const bytes of out) this.#socket.write(bytes as Buffer);
    if (out.length > 1) this.#socket.uncork();
  }
}
