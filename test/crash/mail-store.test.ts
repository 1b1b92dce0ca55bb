/** Whatever the mail store acknowledged before it was killed is there afterwards, exactly once; the rest wholly or not. */

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { modSeq } from '../../core/mail/ids.ts';
import { EmbeddedMailStore } from '../../drivers/embedded/mail-store.ts';
import { append, contentInput, INBOX, JUNK, TestAccount } from '../contract/mail-store-fixtures.ts';
import { randomFrom, runUntilKilled } from './kill.ts';

const ROUNDS = 4;
const CHILD = fileURLToPath(new URL('./mail-store-child.ts', import.meta.url));

interface Acknowledged {
  uid: number;
  content: number;
  flagged: boolean;
  moved: boolean;
}

function learn(line: string, known: Map<string, Acknowledged>): void {
  const [what, key = '', uid, content] = line.split(' ');
  if (what === 'delivered')
    known.set(key, { uid: Number(uid), content: Number(content), flagged: false, moved: false });
  else if (what === 'flagged') known.get(key)!.flagged = true;
  else known.get(key)!.moved = true;
}

async function check(store: EmbeddedMailStore, account: TestAccount, known: Map<string, Acknowledged>): Promise<void> {
  for (const [key, { uid, content, flagged, moved }] of known) {
    const rows = await store.findByMessageId(account.id, `<${key}>`);
    assert.equal(rows.length, 1, `${key} is there ${rows.length} times`);
    const [row] = rows;
    if (moved) assert.equal(row!.mailbox, JUNK, key);
    if (row!.mailbox === INBOX) assert.equal(row!.uid, uid, key);
    assert.equal(row!.content, content, key);
    assert.equal((await store.contents(account.id, [row!.content], ['messageId']))[0]!.messageId, `<${key}>`);
    if (flagged) assert.deepEqual(row!.flags, ['\\Flagged'], key);
  }
  // Nothing is there twice, unacknowledged deliveries included.
  const { changed, tooOld } = await store.changes(account.id, null, modSeq(0), 1_000_000);
  assert.equal(tooOld, false);
  assert.equal(new Set(changed.map((row) => row.content)).size, changed.length);
  const inbox = await account.mailbox(INBOX);
  const junk = await account.mailbox(JUNK);
  assert.equal(inbox.total + junk.total, changed.length);
  assert.deepEqual(await store.verify(false), []);
}

test('every acknowledged commit survives kill -9 at any moment', async (context) => {
  const folder = await mkdtemp(join(tmpdir(), 'mailmesh-crash-'));
  const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
  context.diagnostic(`seed ${seed}`);
  const random = randomFrom(seed);
  try {
    const known = new Map<string, Acknowledged>();
    const store = new EmbeddedMailStore({ folder: join(folder, 'mail'), now: Date.now });
    await store.open();
    const account = await TestAccount.create(store);
    await store.release(account.id, 'owner');
    await store.close();
    for (let round = 0; round < ROUNDS; round++) {
      const lines = 1 + Math.floor(random() * 400);
      const printed = await runUntilKilled(CHILD, [join(folder, 'mail'), account.id, String(round)], lines);
      for (const line of printed) learn(line, known);
      const reopened = new EmbeddedMailStore({ folder: join(folder, 'mail'), now: Date.now });
      await reopened.open();
      account.store = reopened;
      await check(reopened, account, known);
      // A delivery that is made again, since its acknowledgement may have been lost, changes nothing.
      account.epoch = (await reopened.lease(account.id, 'writer', 60_000))!.epoch;
      const [key, first] = [...known].at(-1)!;
      const again = await account.do(append({ dedupe: key, content: contentInput({ messageId: `<${key}>` }) }));
      assert.deepEqual([again.duplicate, again.uid, again.content], [true, first.uid, first.content]);
      await reopened.close();
    }
    context.diagnostic(`${known.size} deliveries checked`);
  } finally {
    await rm(folder, { recursive: true });
  }
});
