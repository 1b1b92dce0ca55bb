/** Databases for a test file: one server, own or given, and a database of its own for each test. */

import { Mongo } from '../../drivers/cluster/mongo.ts';
import { type ClusterServer, mongoServer, serversMissing, withDatabase } from '../support/cluster-servers.ts';

export interface TestDatabase {
  readonly url: string;
  /** Another connection, open; `drop` closes it. */
  connect(): Promise<Mongo>;
  /** Breaks one byte of an inline blob. */
  damage(collection: string, id: string): Promise<void>;
  drop(): Promise<void>;
}

interface TestDatabases {
  /** Why there is no server. */
  readonly skip: string | false;
  readonly server: ClusterServer | undefined;
  database(): TestDatabase;
  end(): Promise<void>;
}

let made = 0;

export async function testDatabases(prefix: string): Promise<TestDatabases> {
  const skip = await serversMissing();
  const server = skip === false ? await mongoServer() : undefined;
  return {
    skip,
    server,
    database: () => {
      const url = withDatabase(server!.url, `${prefix}-${process.pid}-${made++}`);
      const connections: Mongo[] = [];
      const connect = async (): Promise<Mongo> => {
        const mongo = new Mongo({ url });
        await mongo.open();
        connections.push(mongo);
        return mongo;
      };
      return {
        url,
        connect,
        damage: async (collection, id) => {
          const blobs = (await connect()).collection<{ _id: string; data: Buffer }>(collection);
          const data = Buffer.from((await blobs.findOne({ _id: id }))!.data);
          data[data.length >> 1]! ^= 1;
          await blobs.updateOne({ _id: id }, { $set: { data } });
        },
        drop: async () => {
          const last = await connect();
          await last.db.dropDatabase();
          for (const mongo of connections) await mongo.close();
        },
      };
    },
    end: async () => {
      await server?.close();
    },
  };
}
