/** What is wrong with the servers of a mesh, for those who ask before they start a node. Nothing is changed there. */

import { Mongo } from '../drivers/cluster/mongo.ts';
import { Nats } from '../drivers/cluster/nats.ts';

/** One line each, or null. */
interface MeshServers {
  readonly mongo: string | null;
  /** It can be used, and the operator should know this of it. */
  readonly mongoWarnings: readonly string[];
  readonly nats: string | null;
}

export async function lookAtServers(mongoUrl: string, natsUrl: string): Promise<MeshServers> {
  let mongoWarnings: readonly string[] = [];
  const [mongo, nats] = await Promise.all([
    trouble(async () => {
      const server = new Mongo({ url: mongoUrl });
      await server.look();
      mongoWarnings = server.warnings;
      await server.close();
      return null;
    }),
    trouble(async () => {
      const server = new Nats({ url: natsUrl });
      await server.open();
      const { trouble: line } = server;
      await server.close();
      return line;
    }),
  ]);
  return { mongo, mongoWarnings, nats };
}

const trouble = (look: () => Promise<string | null>): Promise<string | null> =>
  look().catch((error: Error) => error.message);
