/** When claimers of a node ask the store, which costs it a request each time. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { QueueId } from '../../core/mail/ids.ts';
import { Claimers } from '../../drivers/cluster/queue-claimers.ts';

const STAGES = ['attachments', 'spam', 'delivery'];
const LEASE_MS = 60_000;

async function atRest(slowdown = 1): Promise<Claimers> {
  const claimers = new Claimers(() => 'token', { slowdown: () => slowdown, share: () => ({ from: 0, to: 1 }) });
  for (const stage of STAGES) {
    claimers.seen(stage, LEASE_MS, 0);
    assert.equal(claimers.mustAsk(stage, 0, true), true, 'what was there before the first claim');
    await claimers.ask(stage, 0, async () => undefined);
  }
  return claimers;
}

test('stages at rest have the store asked once for all of them, every four seconds', async () => {
  const claimers = await atRest();
  for (const now of [4_000, 8_000, 8_500]) {
    for (const stage of STAGES) {
      assert.equal(claimers.mustAskFirst(stage, now), false);
      assert.equal(claimers.mustAsk(stage, now, true), false);
    }
    const looks = STAGES.filter((stage) => claimers.mustLook(stage, now));
    assert.equal(looks.length, now === 8_500 ? 0 : 1);
  }
});

test('less often where many nodes run the stage', async () => {
  const claimers = await atRest(4);
  assert.equal(claimers.mustLook('spam', 1), true);
  assert.equal(claimers.mustLook('spam', 15_999), false);
  assert.equal(claimers.mustLook('spam', 16_001), true);
});

test('a stage that is kept busy by pointers asks every second by itself, so that older jobs are not forgotten', async () => {
  const claimers = await atRest();
  claimers.addTicket('spam', { queueId: '0'.repeat(16) as QueueId, done: () => undefined });
  assert.equal(claimers.mustAskFirst('spam', 5_000), false, 'at rest until now');
  claimers.takeTickets('spam', 1);
  assert.equal(claimers.mustAskFirst('spam', 5_000), true);
  await claimers.ask('spam', 5_000, async () => undefined);
  claimers.addTicket('spam', { queueId: '0'.repeat(16) as QueueId, done: () => undefined });
  claimers.takeTickets('spam', 1);
  assert.equal(claimers.mustAskFirst('spam', 5_999), false);
  assert.equal(claimers.mustAskFirst('spam', 6_000), true);
  assert.equal(claimers.mustAskFirst('delivery', 6_000), false);
});

test('without pointers each stage asks by itself', async () => {
  const claimers = await atRest();
  assert.equal(claimers.mustAsk('spam', 199, false), false);
  assert.equal(claimers.mustAsk('spam', 200, false), true);
});
