/** Breaks one byte of an inline blob in the database. */

import type { Database } from './cluster-fixture.ts';

export async function damageBlob(database: Database, collection: string, id: string): Promise<void> {
  const mongo = await database.connect();
  const blobs = mongo.collection<{ _id: string; data: Buffer }>(collection);
  const data = Buffer.from((await blobs.findOne({ _id: id }))!.data);
  data[data.length >> 1]! ^= 1;
  await blobs.updateOne({ _id: id }, { $set: { data } });
}
