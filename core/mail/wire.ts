/**
 * Between a protocol engine and the socket it never sees. A listener gives each connection's engine a Wire and feeds it
 * the peer's bytes; the engine answers through the Wire. Tests drive engines with a Wire made of arrays.
 */

import type { TlsInfo } from './envelope.ts';
import type { SessionId } from './ids.ts';

export interface Wire {
  readonly session: SessionId;
  readonly remote: { readonly address: string; readonly port: number };
  /** The state of TLS now; null on a plaintext connection. */
  readonly tls: TlsInfo | null;
  /** Whether STARTTLS can be offered: a certificate is loaded and TLS is not on yet. */
  readonly canStartTls: boolean;
  /** Queues bytes for the peer. The engine must not change them afterwards. */
  write(bytes: Uint8Array | string): void;
  /** Resolves when the peer has taken enough for more to be written; rejects when the connection is gone. */
  drained(): Promise<void>;
  /**
   * Turns TLS on after all that was written has left. The listener throws away whatever the peer sent behind the
   * command that asked for it (RFC 3207 §5, RFC 8314 §4.1: nothing pipelined in plaintext survives).
   */
  startTls(): Promise<void>;
  /** Closes once all that was written has left. Idempotent. */
  close(): void;
}

/** One connection's protocol state machine. All of its time comes from `now`; it has no timers of its own. */
export interface Engine {
  /** The connection is up (for implicit TLS: the handshake is done). Writes the greeting. */
  start(): void;
  /**
   * Takes the peer's bytes, in any chunking. While a returned promise is pending the listener stops reading from the
   * socket, which is the engine's backpressure. Never rejects: the engine turns errors into replies.
   */
  feed(bytes: Uint8Array): void | Promise<void>;
  /** The peer has closed or the connection broke: free what is held. Called exactly once, last. */
  end(): void;
  /** How long the listener waits for the peer's next byte now, by phase and state; `expire` is called after that. */
  readonly idleTimeoutMs: number;
  /** The time is over: says so (421, BYE) and closes. */
  expire(): void;
  /**
   * The server is shutting down: a command that runs may end, nothing new is begun, then a goodbye is said and the
   * wire closed. Resolves when the engine has closed the wire.
   */
  drain(): Promise<void>;
}

export type EngineFactory = (wire: Wire) => Engine;
