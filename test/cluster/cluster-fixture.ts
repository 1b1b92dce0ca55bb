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
  readonly #url: string;
  readonly #open: Mongo[] = [];

  private constructor(url: string) {
    this.#url = url;
  }

  static async create(server: ClusterServer): Promise<Database> {
    return new Database(withDatabase(server.url, `t${randomBytes(8).toString('hex')}`));
  }

  /** A connection as another process would have it. */
  async connect(): Promise<Mongo> {
    const mongo = new Mongo({ url: this.#url });
    await mongo.open();
    this.#open.push(mongo);
    return mongo;
  }

  async dispose(): Promise<void> {
    await this.#open[0]?.db.dropDatabase();
    for (const mongo of this.#open) await mongo.close();
  }
}
