/**
 * Clients that go on whatever happens: each has a node that it prefers and takes the next when that one fails. Kept are
 * the longest time that any of them was without success, and every failure with its kind and node.
 */

import { setTimeout as after } from 'node:timers/promises';
import { eventually } from '../../support/clients.ts';
import type { Ledger } from './ledger.ts';
import type { Mesh, MeshNode } from './mesh.ts';
import { patiently } from './patience.ts';
import { Failure, openSession, type Session, type SessionKind } from './sessions.ts';

/** How soon a client looks whether a node is up again. */
const LOOK_MS = 100;
const RECOVER_MS_MAX = patiently(60_000);

export interface LoadShape {
  /** How many sessions of each kind; those of IMAP go through the accounts one after the other. */
  readonly sessions: Readonly<Partial<Record<SessionKind, number>>>;
  /** Between two things that a client does. */
  readonly pauseMs: number;
  /** Before it tries again where one has failed. */
  readonly retryMs: number;
  /** After which a client gives its connection up. */
  readonly answerMsMax: number;
}

export const STEADY: LoadShape = {
  sessions: { smtp: 2, lmtp: 1, append: 1, move: 2, store: 8, idle: 2 },
  pauseMs: 500,
  retryMs: 100,
  answerMsMax: patiently(12_000),
};

export interface FailureSeen {
  readonly kind: Failure['kind'];
  readonly client: string;
  readonly node: string;
  readonly message: string;
  /** When the thing that failed was begun, and when that was known; milliseconds of `performance.now()`. */
  readonly begunAt: number;
  readonly failedAt: number;
}

/** Since the load began, or since the last `mark`. */
export interface LoadReport {
  readonly steps: number;
  readonly outageMs: number;
  /** Whose outage it was. */
  readonly outageOf: string;
  readonly failures: readonly FailureSeen[];
}

class Client {
  readonly name: string;
  readonly kind: SessionKind;
  readonly #number: number;
  readonly #load: Load;
  #steps = 0;
  #outageMs = 0;
  #succeededAt = 0;
  #turn: number;

  constructor(load: Load, kind: SessionKind, number: number, turn: number) {
    this.#load = load;
    this.kind = kind;
    this.#number = number;
    this.#turn = turn;
    this.name = `${kind} ${number}`;
  }

  get steps(): number {
    return this.#steps;
  }

  get succeededAt(): number {
    return this.#succeededAt;
  }

  get outageMs(): number {
    return this.#outageMs;
  }

  forget(): void {
    this.#steps = 0;
    this.#outageMs = 0;
  }

  async run(): Promise<void> {
    let tries = 0;
    this.#succeededAt = performance.now();
    while (this.#load.going) {
      const node = this.#node();
      if (node?.server === undefined) {
        await after(LOOK_MS);
        continue;
      }
      let begunAt = performance.now();
      let session: Session | undefined;
      try {
        session = await openSession(
          this.kind,
          this.#number,
          this.#load.sessionOptions(node.server, this.name, tries++),
        );
        while (this.#load.going) {
          begunAt = performance.now();
          await session.step();
          this.#succeeded();
          await after(this.#load.shape.pauseMs);
        }
      } catch (error) {
        if (!(error instanceof Failure)) throw error;
        const { kind, message } = error;
        const failure = { kind, client: this.name, node: node.name, message, begunAt, failedAt: performance.now() };
        this.#load.failures.push(failure);
        this.#turn++;
        // Whoever is told goodbye goes elsewhere at once.
        if (kind !== 'ended') await after(this.#load.shape.retryMs);
      } finally {
        session?.close();
      }
    }
  }

  #succeeded(): void {
    const now = performance.now();
    this.#outageMs = Math.max(this.#outageMs, now - this.#succeededAt - this.#load.shape.pauseMs);
    this.#succeededAt = now;
    this.#steps++;
  }

  #node(): MeshNode | undefined {
    const up = this.#load.nodes.filter(({ server }) => server !== undefined);
    return up[this.#turn % up.length];
  }
}

export class Load {
  readonly shape: LoadShape;
  readonly nodes: readonly MeshNode[];
  readonly failures: FailureSeen[] = [];
  readonly #mesh: Mesh;
  readonly #ledger: Ledger;
  readonly #random: () => number;
  readonly #tag: string;
  readonly #clients: Client[] = [];
  readonly #running: Promise<unknown>;
  going = true;

  /** @param tag distinguishes this load's messages from those of others */
  constructor(mesh: Mesh, ledger: Ledger, options: { tag: string; shape: LoadShape; random: () => number }) {
    this.shape = options.shape;
    this.nodes = mesh.nodes;
    this.#mesh = mesh;
    this.#ledger = ledger;
    this.#random = options.random;
    this.#tag = options.tag;
    for (const [kind, count] of Object.entries(options.shape.sessions) as [SessionKind, number][])
      for (let i = 0; i < count; i++) this.#clients.push(new Client(this, kind, i, this.#clients.length));
    this.#running = Promise.all(this.#clients.map((client) => client.run()));
    // Rejected only by a fault of the load itself, which `stop` tells.
    this.#running.catch(() => undefined);
  }

  sessionOptions(server: NonNullable<MeshNode['server']>, client: string, tries: number) {
    return {
      ...{ server, accounts: this.#mesh.accounts, ledger: this.#ledger, random: this.#random },
      ...{ tag: `${this.#tag}-${client.replace(' ', '')}-${tries}`, answerMsMax: this.shape.answerMsMax },
    };
  }

  /** Figures begin anew. */
  mark(): void {
    this.failures.length = 0;
    for (const client of this.#clients) client.forget();
  }

  /** Resolves when every client has succeeded since it was called. */
  async recovered(deadlineMs = RECOVER_MS_MAX): Promise<void> {
    const since = performance.now();
    const waiting = () => this.#clients.filter(({ succeededAt }) => succeededAt < since).map(({ name }) => name);
    await eventually('success of every client', () => (waiting().length === 0 ? true : undefined), deadlineMs).catch(
      () => {
        const last = this.failures.slice(-5).map(({ client, node, message }) => `${client} at ${node}: ${message}`);
        throw new Error(
          `${waiting().join(', ')} had no success for ${deadlineMs} ms; last failures:\n${last.join('\n')}`,
        );
      },
    );
  }

  report(): LoadReport {
    const worst = this.#clients.reduce((a, b) => (b.outageMs > a.outageMs ? b : a));
    return {
      steps: this.#clients.reduce((sum, { steps }) => sum + steps, 0),
      outageMs: Math.round(worst.outageMs),
      outageOf: worst.name,
      failures: [...this.failures],
    };
  }

  async stop(): Promise<void> {
    this.going = false;
    await this.#running;
  }
}
