/** Whatever the mail store acknowledged before it was killed is there afterwards, exactly once; the rest wholly or not. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { modSeq } from '../../core/mail/ids.ts';
import { EmbeddedMailStore } from '../../drivers/embedded/mail-store.ts';
import { append, contentInput, INBOX, JUNK, TestAccount } from '../contract/mail-store-fixtures.ts';

const ROUNDS = 6;
const CHILD = fileURLToPath(new URL('./mail-store-child.ts', import.meta.url));

interface Acknowledged {
  uid: number;
  content: number;
  flagged: boolean;
  moved: boolean;
}

/** Lets a child write until it has acknowledged `count` commits, and kills it. What it printed goes into `known`. */
async function writeAndKill(
  folder: string,
  account: string,
  round: number,
  count: number,
  known: Map<string, Acknowledged>,
): Promise<void> {
  const child = spawn(process.execPath, [CHILD, folder, account, String(round)], { stdio: ['ignore', 'pipe', 'pipe'] });
  let errors = '';
  child.stderr.on('data', (bytes) => {
    errors += bytes;
  });
  const exited = once(child, 'exit');
  let seen = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    const [what, key = '', uid, content] = line.split(' ');
    if (what === 'delivered')
      known.set(key, { uid: Number(uid), content: Number(content), flagged: false, moved: false });
    else if (what === 'flagged') known.get(key)!.flagged = true;
    else if (what === 'moved') known.get(key)!.moved = true;
    if (++seen === count) child.kill('SIGKILL');
  }
  const [, signal] = await exited;
  assert.equal(signal, 'SIGKILL', `the child ended by itself: ${errors}`);
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
  context.diagnostic(`SEED=${seed}`);
  let random = seed;
  const next = (below: number): number => {
    random = (Math.imul(random, 1_103_515_245) + 12_345) >>> 0;
    return (random >>> 8) % below;
  };
  try {
    const known = new Map<string, Acknowledged>();
    const store = new EmbeddedMailStore({ folder: join(folder, 'mail'), now: Date.now });
    await store.open();
    const account = await TestAccount.create(store);
    await store.release(account.id, 'owner');
    await store.close();
    for (let round = 0; round < ROUNDS; round++) {
      await writeAndKill(join(folder, 'mail'), account.id, round, 1 + next(600), known);
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
