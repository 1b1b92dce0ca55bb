/** Goal: the filter thread finds what this thread would find, survives what breaks it, and takes up other models. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, test } from 'node:test';
import { modelId } from '../../core/mail/ids.ts';
import { analyse } from '../../core/spam/analyse.ts';
import { decodeArtefact } from '../../core/spam/artefact.ts';
import { Extractor } from '../../core/spam/extract.ts';
import { SpamThread } from '../../mixins/spam-thread.ts';

const seed = readFileSync(new URL('../../models/seed.bin', import.meta.url));
const artefact = decodeArtefact(seed);
let loads = 0;
const thread = new SpamThread(async (id) => {
  loads++;
  if (id === 'none') throw new Error('there is no such model');
  return seed;
});
after(() => thread.close());

const input = (text: string) => ({
  bytes: Buffer.from(`From: Offers <win@example.com>\r\nSubject: ${text}\r\n\r\n${text}\r\n`),
  envelopeSender: 'win@example.com',
  helo: 'example.com',
  clientAddress: '192.0.2.1',
  tls: false,
  authentication: null,
});
const model = { id: modelId('a') };

test('the thread finds the same as this one, for many messages at once', async () => {
  const texts = Array.from({ length: 40 }, (_, i) => `you have won ${i} free prizes, click now`);
  const found = await Promise.all(texts.map((text) => thread.analyse(input(text), model)));
  const extractor = new Extractor();
  for (const [i, text] of texts.entries()) {
    const here = analyse(extractor, artefact, input(text));
    assert.deepEqual(found[i]!.words, here.words);
    assert.equal(found[i]!.p, here.p);
    assert.deepEqual(Buffer.from(found[i]!.features), Buffer.from(here.features));
  }
  assert.equal(loads, 1, 'a model is brought once');
});

test('a model that can not be had fails that message only', async () => {
  await assert.rejects(thread.analyse(input('x'), { id: modelId('none') }), /no such model/);
  assert.ok((await thread.analyse(input('hello'), model)).p < 1);
});

test('more models than the thread keeps are brought again when they are needed', async () => {
  for (const id of ['b', 'c', 'd', 'a']) assert.ok((await thread.analyse(input('x'), { id: modelId(id) })).p >= 0);
});

test('after its end a new thread is started', async () => {
  await thread.close();
  assert.ok((await thread.analyse(input('again'), model)).p >= 0);
});
