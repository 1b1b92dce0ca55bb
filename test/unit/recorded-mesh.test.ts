/**
 * The recorded databases of meshes, without a server: what the stores read of it. The whole of it, and
 * blobs in GridFS, need one: test/cluster/recorded.test.ts.
 */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { basename } from 'node:path';
import { test } from 'node:test';
import { BSON, type Document } from 'mongodb';
import { contentId } from '../../core/mail/ids.ts';
import { readRange } from '../../core/mail/layout.ts';
import { ClusterBlobStore } from '../../drivers/cluster/blob-store.ts';
import { ClusterDirectory } from '../../drivers/cluster/directory.ts';
import { ClusterMailStore } from '../../drivers/cluster/mail-store.ts';
import { MemoryMongo } from '../support/memory-mongo.ts';
import { type Expected, linesOf, recordings } from '../support/recorded.ts';

const archive = (): never => assert.fail('no backup');

/** As the client gives them. */
const plain = (value: unknown): unknown => {
  if (value instanceof BSON.Binary) return Buffer.from(value.buffer);
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, plain(one)]));
};

for (const file of recordings('mesh'))
  test(`${basename(file)}: accounts, mailboxes and messages, byte for byte`, () => read(file));

async function read(file: string): Promise<void> {
  const mongo = MemoryMongo.create();
  let expected: Expected | undefined;
  for await (const line of linesOf<{ expected?: Expected; in?: string; document?: Document }>(file)) {
    expected ??= line.expected;
    if (line.in === undefined || line.in.startsWith('blobs.')) continue;
    const document = plain(BSON.EJSON.deserialize(line.document!, { relaxed: true }));
    await mongo.collection<{ _id: string }>(line.in).insertOne(document as { _id: string });
  }
  const now = Date.now;
  const directory = new ClusterDirectory({ mongo, now, node: 'test', archive });
  const mail = new ClusterMailStore({ mongo });
  const blobs = new ClusterBlobStore({ mongo, now, archive });
  await mail.open();
  const found: string[] = [];
  const large: string[] = [];
  for (const { address } of expected!.logins) {
    const [id] = await directory.resolve(address);
    for (const mailbox of await mail.mailboxes(id!)) {
      const columns = (await mail.columns(id!, mailbox.id))!;
      assert.equal(columns.uids.length, mailbox.total);
      const contents = await mail.contents(
        id!,
        Array.from(columns.contents, (one) => contentId(one)),
        ['layout', 'size'],
      );
      for (const [i, content] of contents.entries()) {
        const name = `${address} ${mailbox.name} ${columns.uids[i]}`;
        if (content!.size > 255 * 1024) {
          large.push(name);
          continue;
        }
        const bytes = await readRange(blobs, content!.layout);
        assert.equal(bytes.length, content!.size);
        const flags = [...columns.flagSets[columns.flags[i]!]!].sort().join(' ');
        found.push(`${name} ${createHash('sha256').update(bytes).digest('hex')} ${flags}`);
      }
    }
  }
  const names = expected!.messages.map(
    ({ account, mailbox, uid, sha256, flags }) => `${account} ${mailbox} ${uid} ${sha256} ${flags.join(' ')}`,
  );
  assert.equal(large.length, 1);
  assert.deepEqual(found.sort(), names.filter((name) => !name.startsWith(`${large[0]} `)).sort());
  assert.deepEqual(await mail.verify(false), []);
}
