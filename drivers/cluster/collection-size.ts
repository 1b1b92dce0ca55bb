/** How large a collection is by the server's own bookkeeping, which costs nothing but may be a little off after a crash. */

import { MongoServerError } from 'mongodb';
import type { Mongo } from './mongo.ts';
import { within } from './mongo-collection.ts';

const NAMESPACE_NOT_FOUND = 26;

/** Zeros for a collection that nothing was ever written to. */
export async function collectionSize(mongo: Mongo, name: string): Promise<{ documents: number; stored: number }> {
  try {
    const stats = await within(() => mongo.db.command({ collStats: name }));
    const { count = 0, storageSize = 0, totalIndexSize = 0 } = stats as Record<string, number | undefined>;
    return { documents: count, stored: storageSize + totalIndexSize };
  } catch (error) {
    const { cause } = error as Error;
    if (cause instanceof MongoServerError && cause.code === NAMESPACE_NOT_FOUND) return { documents: 0, stored: 0 };
    throw error;
  }
}
