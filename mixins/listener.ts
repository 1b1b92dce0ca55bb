/**
 * One listening socket: accepts, limits by address and in all, gives each connection its engine, ends idle ones, and
 * drains at shutdown. Protocol engines know nothing of it.
 */

import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { sessionId } from '../core/mail/ids.ts';
import { REPLIES, smtpReply } from '../core/mail/reply.ts';
import type { Engine, EngineFactory } from '../core/mail/wire.ts';
import type { NodeContext } from './context.ts';
import { SocketWire } from './socket-wire.ts';

type Protocol = 'smtp' | 'lmtp' | 'submission' | 'imap' | 'pop3';

export interface ListenerOptions {
  /** Shown at the start, in metrics and in errors: `imaps`, `lmtp`, … */
  readonly name: string;
  readonly protocol: Protocol;
  readonly port: number;
  /** TLS from the first byte; otherwise STARTTLS is offered. */
  readonly tls: boolean;
  readonly engine: EngineFactory;
}

interface Connection {
  readonly wire: SocketWire;
  readonly engine: Engine;
}

/** One timer looks after all connections of a listener. */
const SWEEP_MS = 1_000;

/** Connections by client address over all listeners of the process. */
const byAddress = new Map<string, number>();
let total = 0;

const tooMany: Readonly<Record<Protocol, string>> = {
  smtp: `${smtpReply('tooManyConnections')}\r\n`,
  lmtp: `${smtpReply('tooManyConnections')}\r\n`,
  submission: `${smtpReply('tooManyConnections')}\r\n`,
  imap: `* BYE [UNAVAILABLE] ${REPLIES.tooManyConnections.text}\r\n`,
  pop3: `-ERR [SYS/TEMP] ${REPLIES.tooManyConnections.text}\r\n`,
};

const bareAddress = (socket: Socket): string => (socket.remoteAddress ?? '').replace(/^::ffff:/, '');

export class Listener {
  readonly #context: NodeContext;
  readonly #options: ListenerOptions;
  readonly #connections = new Set<Connection>();
  readonly #server: Server;
  #sweep: NodeJS.Timeout | undefined;
  #emptied: (() => void) | undefined;

  constructor(context: NodeContext, options: ListenerOptions) {
    this.#context = context;
    this.#options = options;
    this.#server = createServer({ allowHalfOpen: true, noDelay: true, keepAlive: true }, (socket) =>
      this.#admit(socket),
    );
  }

  /** Rejects with the system's error (EADDRINUSE, EACCES), which carries the listener's name and port. */
  async listen(): Promise<void> {
    const { name, port, tls } = this.#options;
    const host = this.#context.config.bind;
    this.#server.listen({ host, port, backlog: 1024 });
    try {
      await once(this.#server, 'listening');
    } catch (error) {
      throw Object.assign(error as Error, { listener: name, port });
    }
    this.#server.on('error', (error) =>
      this.#context.log.error({ listener: name, detail: error.message }, 'listener.error'),
    );
    const bound = this.#server.address();
    this.#context.readiness.listening({
      name,
      host,
      port: bound !== null && typeof bound === 'object' ? bound.port : port,
      tls,
    });
    this.#sweep = setInterval(() => this.#expire(), SWEEP_MS).unref();
  }

  /** No new connections; running transactions end; whatever is left after `timeoutMs` is cut. */
  async drain(timeoutMs: number): Promise<void> {
    this.#server.close();
    if (this.#connections.size > 0) {
      const emptied = new Promise<void>((resolve) => {
        this.#emptied = resolve;
      });
      for (const { engine } of this.#connections) void engine.drain();
      const timer = setTimeout(() => {
        for (const { wire } of this.#connections) wire.destroy();
      }, timeoutMs);
      await emptied;
      clearTimeout(timer);
    }
    clearInterval(this.#sweep);
  }

  #admit(socket: Socket): void {
    const { config, metrics } = this.#context;
    const { name, protocol } = this.#options;
    const address = bareAddress(socket);
    const fromHere = byAddress.get(address) ?? 0;
    if (total >= config.connectionsMax || fromHere >= config.connectionsPerAddressMax) {
      metrics.connectionsTotal.inc({ listener: name, outcome: 'limited' });
      socket.on('error', () => socket.destroy());
      socket.end(this.#options.tls ? '' : tooMany[protocol]);
      socket.setTimeout(2_000, () => socket.destroy());
      socket.resume();
      return;
    }
    total++;
    byAddress.set(address, fromHere + 1);
    metrics.connectionsTotal.inc({ listener: name, outcome: 'accepted' });
    metrics.connections.inc({ listener: name });
    socket.once('close', () => {
      total--;
      const left = byAddress.get(address)! - 1;
      if (left === 0) byAddress.delete(address);
      else byAddress.set(address, left);
      metrics.connections.dec({ listener: name });
    });
    if (this.#options.tls) this.#handshake(socket);
    else this.#serve(socket);
  }

  #handshake(plain: Socket): void {
    const secure = new TLSSocket(plain, { isServer: true, secureContext: this.#context.tls.context });
    const timer = setTimeout(() => secure.destroy(), this.#context.config.tlsHandshakeTimeoutMs);
    const failed = (error?: Error): void => {
      clearTimeout(timer);
      if (error !== undefined)
        this.#context.log.debug({ listener: this.#options.name, detail: error.message }, 'tls.failed');
      secure.destroy();
    };
    plain.once('error', failed);
    secure.once('error', failed);
    secure.once('close', failed);
    secure.once('secure', () => {
      clearTimeout(timer);
      secure.off('error', failed);
      secure.off('close', failed);
      this.#serve(secure);
    });
  }

  #serve(socket: Socket): void {
    const { config, now, tls, log } = this.#context;
    const letter = this.#options.name[0]!;
    const wire = new SocketWire(socket, {
      session: sessionId(letter, now(), randomBytes(5)),
      secureContext: () => tls.context,
      canStartTls: !this.#options.tls,
      handshakeTimeoutMs: config.tlsHandshakeTimeoutMs,
      now,
      closed: (error) => {
        this.#connections.delete(connection);
        log.debug(
          { session: wire.session, ...(error === undefined ? {} : { detail: error.message }) },
          'connection.closed',
        );
        if (this.#connections.size === 0) this.#emptied?.();
      },
    });
    log.debug({ session: wire.session, remote: wire.remote.address, listener: this.#options.name }, 'connection.open');
    const connection = { wire, engine: this.#options.engine(wire) };
    this.#connections.add(connection);
    wire.run(connection.engine);
  }

  #expire(): void {
    const now = this.#context.now();
    for (const { wire, engine } of this.#connections) {
      const idleMs = now - wire.lastActive;
      // A clock that was set back must not keep dead connections for ever.
      if (idleMs < 0) wire.lastActive = now;
      else if (idleMs > engine.idleTimeoutMs) {
        wire.lastActive = now;
        engine.expire();
        // Whoever takes neither goodbye nor close is cut at the next round.
        if (idleMs > 2 * engine.idleTimeoutMs) wire.destroy();
      }
    }
  }
}
