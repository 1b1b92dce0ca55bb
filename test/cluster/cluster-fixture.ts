/** Databases of a test file's own on one MongoDB server, and connections to them that are closed with the test. */

import { randomBytes } from 'node:crypto';
import { after } from 'node:test';
import { Mongo } from '../../drivers/cluster/mongo.ts';
import { type ClusterServer, mongoServer, serversMissing, withDatabase } from '../support/cluster-servers.ts';

/** Why this machine can have no server; else false. */
export const missing = await serversMissing();

let server: Promise<ClusterServer> | undefined;

/** The file's server, started at the first call. */
export function sharedServer(): Promise<ClusterServer> {
  server ??= mongoServer();
  return server;
}

after(async () => {
  await (await server)?.close();
});

export class Database {
  readonly url: string;
  readonly #open: Mongo[] = [];

  private constructor(url: string) {
    this.url = url;
  }

  static async create(server: ClusterServer): Promise<Database> {
    return new Database(withDatabase(server.url, `t${randomBytes(8).toString('hex')}`));
  }

  /** A connection as another process would have it. */
  async connect(): Promise<Mongo> {
    const mongo = new Mongo({ url: this.url });
    await mongo.open();
    this.#open.push(mongo);
    return mongo;
  }

  async dispose(): Promise<void> {
    try {
      await this.#open[0]?.db.dropDatabase();
    } finally {
      // What stays open keeps the whole run waiting.
      for (const mongo of this.#open) await mongo.close();
    }
  }
}

/** A connection on which `step` is made just before the first call of a method of one collection. */
export function interposed(
  mongo: Mongo,
  collection: string,
  method: 'insertOne' | 'deleteOne' | 'find',
  step: () => Promise<unknown>,
): Mongo {
  let first = true;
  const table = mongo.collection<{ _id: string }>(collection);
  const call = table[method].bind(table) as (...args: never[]) => Promise<never>;
  table[method] = async (...args: never[]) => {
    if (first) {
      first = false;
      await step();
    }
    return call(...args);
  };
  return new Proxy(mongo, {
    get: (target, name) => {
      if (name === 'collection') return (wanted: string) => (wanted === collection ? table : target.collection(wanted));
      const value = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}
