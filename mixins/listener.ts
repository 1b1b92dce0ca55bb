/**
 * One listening socket: accepts, limits by address and in all, gives each connection its engine, ends idle ones, and
 * drains at shutdown. Protocol engines know nothing of it.
 */

import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { sessionId } from '../core/mail/ids.ts';
import { networkOf } from '../core/mail/network.ts';
import { REPLIES, smtpReply } from '../core/mail/reply.ts';
import type { Engine, EngineFactory } from '../core/mail/wire.ts';
import type { NodeContext } from './context.ts';
import { errorFacts } from './log.ts';
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
/** A peer that takes nothing of an answer for so long is cut: it holds what the answer is made of. */
const STALLED_MS = 5 * 60_000;
/** How long a refused connection stays to read why, and how many may at a time; more are cut unheard. */
const REFUSED_MS = 2_000;
const REFUSED_MAX = 100;

/** Connections by client's network over all listeners of the process. */
const byNetwork = new Map<string, number>();
let total = 0;
let refused = 0;

const tooMany: Readonly<Record<Protocol, string>> = {
  smtp: `${smtpReply('tooManyConnections')}\r\n`,
  lmtp: `${smtpReply('tooManyConnections')}\r\n`,
  submission: `${smtpReply('tooManyConnections')}\r\n`,
  imap: `* BYE [UNAVAILABLE] ${REPLIES.tooManyConnections.text}\r\n`,
  pop3: `-ERR [SYS/TEMP] ${REPLIES.tooManyConnections.text}\r\n`,
};

export class Listener {
  readonly #context: NodeContext;
  readonly #options: ListenerOptions;
  readonly #connections = new Set<Connection>();
  readonly #handshaking = new Set<TLSSocket>();
  readonly #server: Server;
  #sweep: NodeJS.Timeout | undefined;
  #emptied: (() => void) | undefined;
  #draining = false;

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
    // Shown before there is a first one: an autoscaler tells a node without connections from one without figures.
    this.#context.metrics.connections.inc({ listener: name }, 0);
    this.#sweep = setInterval(() => this.#expire(), SWEEP_MS).unref();
  }

  /** No new connections; running transactions end; whatever is left after `timeoutMs` is cut. */
  async drain(timeoutMs: number): Promise<void> {
    this.#draining = true;
    this.#server.close();
    for (const secure of this.#handshaking) secure.destroy();
    if (this.#connections.size > 0) {
      const emptied = new Promise<void>((resolve) => {
        this.#emptied = resolve;
      });
      for (const { wire } of this.#connections) wire.drain();
      const timer = setTimeout(() => {
        for (const { wire } of this.#connections) wire.destroy();
      }, timeoutMs);
      await emptied;
      clearTimeout(timer);
    }
    clearInterval(this.#sweep);
    this.#context.readiness.drained(this.#options.name);
  }

  #admit(socket: Socket): void {
    const { config, metrics } = this.#context;
    const { name, protocol } = this.#options;
    const network = networkOf(socket.remoteAddress ?? '');
    const fromHere = byNetwork.get(network) ?? 0;
    if (total >= config.connectionsMax || fromHere >= config.connectionsPerAddressMax) {
      metrics.connectionsTotal.inc({ listener: name, outcome: 'limited' });
      refuse(socket, this.#options.tls ? '' : tooMany[protocol]);
      return;
    }
    total++;
    byNetwork.set(network, fromHere + 1);
    metrics.connectionsTotal.inc({ listener: name, outcome: 'accepted' });
    metrics.connections.inc({ listener: name });
    socket.once('close', () => {
      total--;
      const left = byNetwork.get(network)! - 1;
      if (left === 0) byNetwork.delete(network);
      else byNetwork.set(network, left);
      metrics.connections.dec({ listener: name });
    });
    if (this.#options.tls) this.#handshake(socket);
    else this.#serve(socket);
  }

  #handshake(plain: Socket): void {
    const secure = new TLSSocket(plain, { isServer: true, secureContext: this.#context.tls.context });
    this.#handshaking.add(secure);
    const timer = setTimeout(() => secure.destroy(), this.#context.config.tlsHandshakeTimeoutMs);
    const over = (): void => {
      clearTimeout(timer);
      this.#handshaking.delete(secure);
      secure.off('error', failed);
      secure.off('end', failed);
      secure.off('close', failed);
    };
    const failed = (error?: Error | boolean): void => {
      over();
      if (error instanceof Error)
        this.#context.log.debug({ listener: this.#options.name, detail: error.message }, 'tls.failed');
      // Whatever else goes wrong with it is the same failure.
      secure.on('error', () => undefined);
      secure.destroy();
    };
    plain.on('error', failed);
    secure.on('error', failed);
    secure.on('end', failed);
    secure.on('close', failed);
    secure.once('secure', () => {
      over();
      if (this.#draining) secure.destroy();
      else this.#serve(secure);
    });
  }

  #serve(socket: Socket): void {
    const { config, now, tls, log, metrics } = this.#context;
    const letter = this.#options.name[0]!;
    let connection: Connection | undefined;
    const wire = new SocketWire(socket, {
      session: sessionId(letter, now(), randomBytes(5)),
      secureContext: () => tls.context,
      canStartTls: !this.#options.tls,
      handshakeTimeoutMs: config.tlsHandshakeTimeoutMs,
      now,
      fault: (error) => {
        metrics.faults.inc({ room: this.#options.protocol });
        log.error({ session: wire.session, ...errorFacts(error) }, 'connection.fault');
      },
      closed: (error) => {
        if (connection !== undefined) this.#connections.delete(connection);
        log.debug(
          { session: wire.session, ...(error === undefined ? {} : { detail: error.message }) },
          'connection.closed',
        );
        if (this.#connections.size === 0) this.#emptied?.();
      },
    });
    log.debug({ session: wire.session, remote: wire.remote.address, listener: this.#options.name }, 'connection.open');
    connection = { wire, engine: this.#options.engine(wire) };
    this.#connections.add(connection);
    wire.run(connection.engine);
  }

  #expire(): void {
    const now = this.#context.now();
    for (const { wire, engine } of this.#connections) {
      const idleMs = now - wire.lastActive;
      // A clock that was set back must not keep dead connections for ever.
      if (idleMs < 0) wire.lastActive = now;
      // No goodbye would reach a peer that does not read.
      else if (wire.blocked && idleMs > STALLED_MS) wire.destroy();
      else if (idleMs > engine.idleTimeoutMs) {
        wire.lastActive = now;
        wire.expire();
      }
    }
  }
}

/** Says why, and goes: nothing that the peer does keeps such a connection. */
function refuse(socket: Socket, text: string): void {
  socket.on('error', () => socket.destroy());
  if (refused >= REFUSED_MAX) return void socket.destroy();
  refused++;
  const timer = setTimeout(() => socket.destroy(), REFUSED_MS).unref();
  socket.once('close', () => {
    refused--;
    clearTimeout(timer);
  });
  socket.end(text);
  socket.resume();
}
