/** A change of a custody record that is computed anew gives back what it had promised before. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TemporaryError } from '../../core/mail/errors.ts';
import { newDocument, type QueueDocument } from '../../drivers/cluster/queue-document.ts';
import { QueueWriter } from '../../drivers/cluster/queue-writer.ts';
import { message, NOW, plan } from '../contract/queue-fixture.ts';
import { MemoryMongo } from '../support/memory-mongo.ts';

test('leases promised in a change that was not written are given back, however it failed', async () => {
  let failures = 0;
  const mongo = MemoryMongo.server()(async ({ method, at }) => {
    if (method !== 'updateOne' || at !== 'before' || failures === 0) return;
    failures--;
    throw new TemporaryError('storeUnavailable', { detail: 'away' });
  });
  const documents = mongo.collection<QueueDocument>('queue');
  const document = { ...newDocument(message(1), plan(['spam']), { at: NOW, now: NOW }), mark: '' };
  await documents.insertOne(document);
  let marks = 0;
  const writer = new QueueWriter(documents, () => `mark ${marks++}`);
  let promised = 0;
  const operation = {
    apply: (before: QueueDocument) => {
      promised++;
      return { document: { ...before, deliveries: [...before.deliveries, 'x'] } };
    },
    happened: ({ deliveries }: QueueDocument) => deliveries.length > 0,
    withdraw: () => void promised--,
    patienceMs: 60_000,
  };
  failures = 2;
  assert.ok((await writer.change(document._id, operation)) !== undefined);
  assert.equal(promised, 1);
  // Another node was faster, and then the record was forgotten.
  await documents.updateOne({ _id: document._id }, { $set: { mark: 'another', deliveries: [] } });
  await writer.change(document._id, operation);
  assert.equal(promised, 2);
  await documents.updateOne({ _id: document._id }, { $set: { mark: 'yet another', deliveries: [] } });
  failures = 1;
  const gone = writer.change(document._id, operation);
  await documents.deleteOne({ _id: document._id });
  assert.equal(await gone, undefined);
  assert.equal(promised, 2);
});
