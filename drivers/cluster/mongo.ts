/**
 * The one connection (a pool) of a node to MongoDB, shared by its stores. Writes are acknowledged by a majority and its
 * journal, reads come from the primary and see only what a majority has. A database made by a newer program is refused.
 */

import { type Db, MongoClient, type MongoClientOptions, ReadConcern } from 'mongodb';
import { ClusterRecord } from './cluster-record.ts';
import { Collection, within } from './mongo-collection.ts';
import { DatabaseUnusable, openError } from './mongo-errors.ts';
import type { Identified } from './mongo-types.ts';

const DATABASE = 'mailmesh';

/** What the address may set otherwise. */
const DEFAULTS: MongoClientOptions = {
  appName: 'mailmesh',
  serverSelectionTimeoutMS: 3000,
  connectTimeoutMS: 3000,
  // A server that stopped answering is found out by the heartbeat, which also cuts the connections to it.
  heartbeatFrequencyMS: 2000,
  socketTimeoutMS: 60_000,
  waitQueueTimeoutMS: 5000,
  maxPoolSize: 32,
};

/**
 * Of connections in the pool, for those that are too few or have been idle for long. The client looks ten times a second,
 * which would be a fifth of what a node at rest costs; its option of this name is one that it takes but does not announce.
 */
const POOL = { minPoolSizeCheckFrequencyMS: 5_000 };

/** What `250` promises: whatever the address says (the client would take `journal=false` from it). */
const DURABLE = { w: 'majority', journal: true, wtimeoutMS: 5000 } as const;

export class Mongo {
  readonly #client: MongoClient;
  readonly #name: string;
  /** Hosts and database, without credentials. */
  readonly #place: string;
  readonly record: ClusterRecord;
  #db: Db | undefined;
  #isSharded = false;
  #warnings: readonly string[] = [];

  /**
   * @param options.knows newest format of documents; only tests give another than the program's
   * @throws DatabaseUnusable where the address is not one
   */
  constructor(options: { readonly url: string; readonly knows?: number }) {
    const { hosts, database, parameters } = parseAddress(options.url);
    this.#place = `${hosts}/${database}`;
    this.record = new ClusterRecord(this.collection<never>('meta'), this.#place, options.knows);
    const defaults = Object.entries(DEFAULTS).filter(([name]) => !parameters.has(name.toLowerCase()));
    try {
      this.#name = decodeURIComponent(database);
      this.#client = new MongoClient(options.url, {
        ...Object.fromEntries(defaults),
        readPreference: 'primary',
        promoteBuffers: true,
      });
      Object.assign(this.#client.options, POOL);
    } catch (error) {
      const { message } = error as Error;
      const why = quotes(message, options.url, parameters)
        ? 'mongodb://[user:password@]host[:port]/database is'
        : message;
      throw new DatabaseUnusable(`the MongoDB address is not valid: ${why}`);
    }
  }

  /** Connects, and makes or checks the database's own document. Rejects with DatabaseUnusable, one line for the operator. */
  open(): Promise<void> {
    return this.#open(() => this.record.join());
  }

  /** Likewise, and leaves a database as it is that has no such document yet. */
  look(): Promise<void> {
    return this.#open(() => this.record.look());
  }

  async #open(begin: () => Promise<void>): Promise<void> {
    try {
      await this.#client.connect();
      const hello = await this.#client.db(this.#name).command({ hello: 1 });
      this.#isSharded = hello.msg === 'isdbgrid';
      const replicated = hello.setName !== undefined || this.#isSharded;
      this.#warnings = replicated
        ? []
        : [
            `MongoDB at ${this.#place} has no replica set: what it acknowledges is on one machine only and lost with it`,
          ];
      // A server without a replica set has no majority to ask.
      this.#db = this.#client.db(this.#name, {
        readConcern: new ReadConcern(replicated ? 'majority' : 'local'),
        writeConcern: DURABLE,
      });
      await begin();
    } catch (error) {
      await this.#client.close();
      throw openError(error, this.#place);
    }
  }

  async close(): Promise<void> {
    await this.#client.close();
  }

  /** One line for the operator about what an operation threw, without credentials. */
  why(error: unknown): string {
    return openError(error, this.#place).message;
  }

  /** Random name of the cluster, the same on every node of this database. */
  get cluster(): string {
    return this.record.name;
  }

  /** What the operator should know about the server, found by `open`. */
  get warnings(): readonly string[] {
    return this.#warnings;
  }

  /** For GridFS alone; everything else is a collection. */
  get db(): Db {
    if (this.#db === undefined) throw new Error('the database is not open');
    return this.#db;
  }

  /** May be called before `open`. */
  collection<T extends Identified>(name: string): Collection<T> {
    return new Collection<T>(
      () => this.db.collection(name),
      () => this.#isSharded,
    );
  }

  /** The server's time in milliseconds since 1970. */
  async now(): Promise<number> {
    const hello = await within(() => this.db.command({ hello: 1 }));
    return (hello.localTime as Date).getTime();
  }
}

/** Whether a part of the address stands in the text: where it is no address, any may be one of the password. */
const quotes = (text: string, url: string, names: ReadonlySet<string>): boolean =>
  url
    .slice(url.indexOf('://') + 3)
    .split(/[^\w.-]+/)
    .some((part) => part.length > 1 && !names.has(part.toLowerCase()) && text.includes(part));

/** The parts of mongodb://[user:password@]hosts[/database][?parameters]. */
function parseAddress(url: string): { hosts: string; database: string; parameters: ReadonlySet<string> } {
  const [address = '', query = ''] = url.split('?', 2);
  const rest = address.slice(address.indexOf('://') + 3);
  const slash = rest.indexOf('/');
  const authority = slash === -1 ? rest : rest.slice(0, slash);
  const names = [...new URLSearchParams(query).keys()].map((name) => name.toLowerCase());
  return {
    hosts: authority.slice(authority.lastIndexOf('@') + 1),
    database: (slash === -1 ? '' : rest.slice(slash + 1)) || DATABASE,
    parameters: new Set(names),
  };
}
