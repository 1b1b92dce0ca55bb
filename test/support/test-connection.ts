/**
 * One end of a connection to a protocol engine without sockets: what the engine writes is read line by line, and
 * waiting for a line is waiting for the engine's next write, never for time.
 */

import type { TlsInfo } from '../../core/mail/envelope.ts';
import { type SessionId, sessionId } from '../../core/mail/ids.ts';
import type { Engine, EngineFactory, Wire } from '../../core/mail/wire.ts';

const TLS: TlsInfo = { version: 'TLSv1.3', cipher: 'TLS_AES_256_GCM_SHA384' };

export interface ConnectionOptions {
  readonly tls?: boolean;
  readonly canStartTls?: boolean;
  readonly address?: string;
}

let connections = 0;

export class TestConnection implements Wire {
  readonly session: SessionId = sessionId('t', connections++, new Uint8Array(5));
  readonly remote: { readonly address: string; readonly port: number };
  readonly engine: Engine;
  tls: TlsInfo | null;
  closed = false;
  /** How often the engine wrote. */
  writes = 0;
  #canStartTls: boolean;
  #received: Buffer = Buffer.alloc(0);
  #at = 0;
  #arrived: (() => void)[] = [];
  /** STARTTLS was done while bytes were being sent: the rest of them is plaintext nobody reads. */
  #cutOff = false;
  #stuck: PromiseWithResolvers<void> | null = null;

  constructor(factory: EngineFactory, options: ConnectionOptions = {}) {
    this.remote = { address: options.address ?? '192.0.2.1', port: 40_000 };
    this.tls = options.tls === true ? TLS : null;
    this.#canStartTls = options.canStartTls ?? true;
    this.engine = factory(this);
    this.engine.start();
  }

  get canStartTls(): boolean {
    return this.#canStartTls && this.tls === null;
  }

  write(bytes: Uint8Array | string): void {
    if (this.closed) return;
    this.writes++;
    this.#received = Buffer.concat([this.#received, typeof bytes === 'string' ? Buffer.from(bytes) : bytes]);
    this.#tell();
  }

  drained(): Promise<void> {
    if (this.closed) return Promise.reject(new Error('closed'));
    return this.#stuck?.promise ?? Promise.resolve();
  }

  async startTls(): Promise<void> {
    this.#cutOff = true;
    this.tls = TLS;
  }

  close(): void {
    this.closed = true;
    this.#stuck?.reject(new Error('closed'));
    this.#tell();
  }

  /** From now on `drained` waits, as when a client does not read. */
  stopReading(): void {
    this.#stuck = Promise.withResolvers();
    this.#stuck.promise.catch(() => {});
  }

  readOn(): void {
    this.#stuck?.resolve();
    this.#stuck = null;
  }

  /** Sends bytes, `step` at a time; resolves when the engine wants more. */
  async send(data: Uint8Array | string, step = Number.POSITIVE_INFINITY): Promise<void> {
    const bytes = typeof data === 'string' ? Buffer.from(data) : data;
    this.#cutOff = false;
    for (let at = 0; at < bytes.length && !this.closed && !this.#cutOff; at += step) {
      await this.engine.feed(Uint8Array.prototype.slice.call(bytes, at, Math.min(bytes.length, at + step)));
    }
  }

  /** The client goes away. */
  end(): void {
    this.closed = true;
    this.engine.end();
    this.#tell();
  }

  /** The next line without its line end, as latin-1; null when the engine has closed the connection first. */
  async line(): Promise<string | null> {
    for (;;) {
      const end = this.#received.indexOf('\r\n', this.#at);
      if (end >= 0) {
        const line = this.#received.subarray(this.#at, end);
        this.#at = end + 2;
        return Buffer.from(line).toString('latin1');
      }
      if (this.closed) return null;
      await new Promise<void>((resolve) => {
        this.#arrived.push(resolve);
      });
    }
  }

  /** Lines up to and with the first that `isLast` accepts, or to the connection's end. */
  async until(isLast: (line: string) => boolean): Promise<string[]> {
    const lines: string[] = [];
    for (;;) {
      const line = await this.line();
      if (line === null) return lines;
      lines.push(line);
      if (isLast(line)) return lines;
    }
  }

  /** What was received and not read yet. */
  rest(): string {
    const rest = Buffer.from(this.#received.subarray(this.#at)).toString('latin1');
    this.#at = this.#received.length;
    return rest;
  }

  #tell(): void {
    const arrived = this.#arrived;
    this.#arrived = [];
    for (const resolve of arrived) resolve();
  }
}
