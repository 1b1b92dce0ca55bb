/** How large a collection is by the server's own bookkeeping, which costs nothing but may be a little off after a crash. */

import type { Mongo } from './mongo.ts';
import { within } from './mongo-collection.ts';

export async function collectionSize(mongo: Mongo, name: string): Promise<{ documents: number; stored: number }> {
  const stats = await within(() => mongo.db.command({ collStats: name }));
  const { count = 0, storageSize = 0, totalIndexSize = 0 } = stats as Record<string, number | undefined>;
  return { documents: count, stored: storageSize + totalIndexSize };
}
