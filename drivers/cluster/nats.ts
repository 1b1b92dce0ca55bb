/**
 * The one connection of a node to NATS for JetStream. It reconnects for ever; while it is down `connected` is false and
 * nothing is sent, so whoever uses it must be able to do without (architecture.md §2.7). What an operator must mend is
 * told once in one line: by a rejection of `open`, or by `report` when it begins later.
 */

import { connect, type JetStreamManager, type NatsConnection, type NatsError } from 'nats';
import type { Facts } from '../../core/mail/errors.ts';

export interface NatsOptions {
  /** nats://[user:password@ or token@]host[:port], several separated by commas; tls:// for TLS. */
  readonly url: string;
  /** Of this connection, as NATS shows it. */
  readonly name?: string;
  readonly report?: (event: string, facts: Facts) => void;
}

/** NATS cannot be used as it is configured: the message is one line for the operator. */
export class NatsUnusable extends Error {
  readonly code = 'NATS_UNUSABLE';
}

const TIMEOUT_MS = 3000;
const RETRY_MS = 1000;
/** A server that stopped answering is found out within two pings. */
const PING_MS = 5000;
/** Codes of JetStream's API: the server is out of what the account or it may hold, streams or consumers. */
const LIMITS = new Set([10002, 10023, 10026, 10027, 10028, 10047, 10077, 10122, 10160]);
const JETSTREAM_OFF = new Set([10076, 10039, 10035]);

export class Nats {
  readonly #place: string;
  readonly #options: Parameters<typeof connect>[0];
  readonly #report: NonNullable<NatsOptions['report']>;
  readonly #listeners = new Set<(connected: boolean) => void>();
  #connection: NatsConnection | undefined;
  #manager: JetStreamManager | undefined;
  #connected = false;
  #trouble: string | null = 'not connected yet';
  #closing = false;
  /** Ends the pause between two attempts. */
  #wake: (() => void) | undefined;
  #connecting: Promise<void> | undefined;

  /** @throws NatsUnusable where the address is not one */
  constructor({ url, name = 'mailmesh', report = () => {} }: NatsOptions) {
    const { servers, ...access } = parseAddress(url);
    this.#place = servers.join(',');
    this.#report = report;
    this.#options = {
      ...access,
      servers,
      name,
      timeout: TIMEOUT_MS,
      maxReconnectAttempts: -1,
      reconnectTimeWait: RETRY_MS / 2,
      reconnectJitter: RETRY_MS / 2,
      pingInterval: PING_MS,
      maxPingOut: 1,
      // Credentials may be mended on the server: trying goes on.
      ignoreAuthErrorAbort: true,
    };
  }

  /**
   * Resolves when connected, or when a first attempt found no server: trying then goes on in the background.
   * @throws NatsUnusable where a server refuses the credentials or has no JetStream
   */
  async open(): Promise<void> {
    try {
      await this.#attempt();
    } catch (error) {
      if (error instanceof NatsUnusable) {
        await this.close();
        throw error;
      }
      this.#down(this.#line(error));
      this.#connecting = this.#connectLater();
    }
  }

  async close(): Promise<void> {
    this.#closing = true;
    this.#wake?.();
    await this.#connecting;
    const connection = this.#connection;
    this.#connection = undefined;
    this.#connected = false;
    if (connection === undefined || connection.isClosed()) return;
    // What was sent shall have left; a server that is away is not waited for.
    await Promise.race([connection.flush().catch(ignore), new Promise((resolve) => setTimeout(resolve, 500).unref())]);
    await connection.close();
  }

  get connected(): boolean {
    return this.#connected;
  }

  /** One line for the operator about what is wrong, or null. */
  get trouble(): string | null {
    return this.#trouble;
  }

  /** Hosts, without credentials. */
  get place(): string {
    return this.#place;
  }

  /** While connected. */
  get connection(): NatsConnection | undefined {
    return this.#connected ? this.#connection : undefined;
  }

  /** While connected. */
  get manager(): JetStreamManager | undefined {
    return this.#connected ? this.#manager : undefined;
  }

  /** Told after each change of `connected`. Returns the unsubscribe function. */
  onChange(listener: (connected: boolean) => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  async #attempt(): Promise<void> {
    let connection: NatsConnection;
    try {
      connection = await connect(this.#options);
    } catch (error) {
      throw this.#asUnusable(error);
    }
    try {
      // Asks the account: a server may have JetStream and the account none.
      this.#manager = await connection.jetstreamManager({ timeout: TIMEOUT_MS });
    } catch (error) {
      await connection.close();
      throw this.#asUnusable(error);
    }
    if (this.#closing) return connection.close();
    this.#connection = connection;
    void this.#follow(connection);
    this.#up();
  }

  async #connectLater(): Promise<void> {
    while (!this.#closing) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        setTimeout(resolve, RETRY_MS * (0.5 + Math.random())).unref();
      });
      if (this.#closing) return;
      try {
        return await this.#attempt();
      } catch (error) {
        this.#down(this.#line(error));
      }
    }
  }

  /** Keeps `connected` true to what the client knows. */
  async #follow(connection: NatsConnection): Promise<void> {
    void connection.closed().then((error) => {
      if (this.#closing) return;
      this.#down(`NATS at ${this.#place} ended the connection: ${error?.message ?? 'for no reason given'}`);
      this.#connecting = this.#connectLater();
    });
    for await (const { type, data } of connection.status()) {
      if (type === 'disconnect') this.#down(`NATS at ${this.#place} is away`);
      else if (type === 'reconnect') this.#up();
      else if (type === 'error') {
        const line = natsTrouble({ code: String(data) }, this.#place);
        if (line !== undefined) this.#tell(line);
      }
    }
  }

  #up(): void {
    if (this.#connected) return;
    this.#connected = true;
    this.#trouble = null;
    this.#report('nats.connected', { server: this.#place });
    for (const listener of this.#listeners) listener(true);
  }

  #down(line: string): void {
    this.#tell(line);
    if (!this.#connected) return;
    this.#connected = false;
    for (const listener of this.#listeners) listener(false);
  }

  #tell(line: string): void {
    if (this.#trouble === line) return;
    this.#trouble = line;
    this.#report('nats.trouble', { detail: line });
  }

  #line(error: unknown): string {
    const { message } = error as Error;
    return error instanceof NatsUnusable ? message : `NATS at ${this.#place} cannot be reached: ${message}`;
  }

  #asUnusable(error: unknown): unknown {
    const line = natsTrouble(error, this.#place);
    return line === undefined ? error : new NatsUnusable(line, { cause: error });
  }
}

/** One line about what only the operator can mend, or undefined where waiting may help. */
export function natsTrouble(error: unknown, place: string): string | undefined {
  const { code, api_error: api } = error as Partial<NatsError>;
  const number = api?.err_code ?? 0;
  if (/^(AUTHORIZATION_VIOLATION|BAD_AUTHENTICATION|BAD_CREDS|AUTHENTICATION_\w+|ACCOUNT_EXPIRED)$/.test(code ?? ''))
    return `NATS at ${place} refuses the user name, password or token`;
  if (code === 'PERMISSIONS_VIOLATION') return `NATS at ${place} forbids this user the subjects of the queue`;
  if (LIMITS.has(number)) return `NATS at ${place} has reached a limit of JetStream: ${api?.description ?? number}`;
  // No one answers JetStream's own subjects, or it says that it is off.
  if (JETSTREAM_OFF.has(number) || code === '503')
    return `NATS at ${place} has no JetStream: start the server with -js, or enable it for this account`;
  return;
}

function parseAddress(url: string): {
  servers: string[];
  user?: string;
  pass?: string;
  token?: string;
  tls?: Record<string, never>;
} {
  const servers: string[] = [];
  let access: { user?: string; pass?: string; token?: string; tls?: Record<string, never> } = {};
  for (const one of url.split(',')) {
    const parsed = URL.parse(one.includes('://') ? one : `nats://${one}`);
    if (parsed === null || parsed.hostname === '' || !/^(nats|tls):$/.test(parsed.protocol))
      throw new NatsUnusable('the NATS address is not valid: nats://[user:password@]host[:port] is');
    servers.push(`${parsed.hostname}:${parsed.port || 4222}`);
    const [user, pass] = [decodeURIComponent(parsed.username), decodeURIComponent(parsed.password)];
    if (pass !== '') access = { ...access, user, pass };
    else if (user !== '') access = { ...access, token: user };
    if (parsed.protocol === 'tls:') access = { ...access, tls: {} };
  }
  return { servers, ...access };
}

const ignore = (): void => {};
