/**
 * Two thousand real messages go the whole way, from LMTP through the filters into mailboxes, and come back byte for byte.
 * CORPUS_DIR names a folder of .eml files; without it the corpus beside the checkout is used where there is one.
 */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { mailmeshJson } from '../support/cli.ts';
import { eventually, withImap } from '../support/clients.ts';
import { LineClient } from '../support/line-client.ts';
import { type Login, newDataDir, removeDataDir, type Server, startServer } from '../support/server.ts';

const MESSAGES = 2_000;
const CONNECTIONS = 4;
const ARCHIVE = join(import.meta.dirname, '..', '..', '..', 'shared', 'corpora', 'spamassassin.tar.xz');

/** The corpus's folder, unpacked where needed; undefined, with the reason printed, where there is none. */
async function corpus(t: TestContext): Promise<string | undefined> {
  const given = process.env.CORPUS_DIR;
  if (given !== undefined) return given;
  if (!existsSync(ARCHIVE)) {
    t.skip('no corpus: CORPUS_DIR is not set, and there is none beside the checkout');
    return undefined;
  }
  const folder = await mkdtemp(join(tmpdir(), 'mailmesh-corpus-'));
  t.after(() => rm(folder, { recursive: true }));
  const { status, stderr } = spawnSync('tar', ['-xJf', ARCHIVE, '-C', folder]);
  if (status === 0) return folder;
  t.skip(`the corpus can't be unpacked: ${stderr}`);
  return undefined;
}

/** With the line ends that mail has on the wire (RFC 5321 §2.3.8). */
const onTheWire = (bytes: Buffer): string =>
  bytes
    .toString('latin1')
    .replace(/\r\n|\r|\n/g, '\r\n')
    .replace(/(?:\r\n)?$/, '\r\n');

/** Without the fields that a server removes before it adds its own (RFC 5321 §4.4). */
function withoutRemoved(message: string): string {
  const end = message.indexOf('\r\n\r\n');
  const header = end < 0 ? message : message.slice(0, end + 2);
  return header.replace(/^return-path[ \t]*:.*\r\n(?:[ \t].*\r\n)*/gim, '') + message.slice(header.length);
}

/** Sends each next message; gives each one's number by its queue id, or the refusals. */
async function sendAll(server: Server, to: Login, messages: readonly string[]) {
  const numbers = new Map<string, number>();
  const refused: string[] = [];
  let next = 0;
  const connection = async (): Promise<void> => {
    const client = await LineClient.open(server.ports.lmtp!);
    await client.reply();
    await client.smtp('LHLO client.example');
    while (next < messages.length) {
      const number = next++;
      await client.write(`MAIL FROM:<corpus@client.example>\r\nRCPT TO:<${to.address}>\r\nDATA\r\n`);
      for (const wanted of ['250', '250', '354']) assert.equal((await client.reply()).slice(0, 3), wanted);
      await client.write(`${messages[number]!.replace(/^\./gm, '..')}.\r\n`);
      const reply = await client.reply();
      const queueId = /^250 .*Accepted ([0-9a-z]+)$/.exec(reply)?.[1];
      if (queueId === undefined) refused.push(`${number}: ${reply}`);
      else numbers.set(queueId, number);
    }
    client.close();
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, connection));
  return { numbers, refused };
}

test('real mail goes the whole way and comes back byte for byte', { timeout: 600_000 }, async (t) => {
  const folder = await corpus(t);
  if (folder === undefined) return;
  const files = (await readdir(folder, { recursive: true })).filter((name) => name.endsWith('.eml')).sort();
  // Evenly from the whole corpus.
  const step = Math.max(1, files.length / MESSAGES);
  const chosen = Array.from({ length: Math.min(MESSAGES, files.length) }, (_, i) => files[Math.floor(i * step)]!);
  const messages = await Promise.all(chosen.map(async (name) => onTheWire(await readFile(join(folder, name)))));
  const dataDir = await newDataDir();
  const server = await startServer(dataDir);
  t.after(async () => {
    await server.stop();
    await removeDataDir(dataDir);
  });
  const alice = server.accounts[0]!;
  const begun = performance.now();
  const { numbers, refused } = await sendAll(server, alice, messages);
  const acceptedMs = performance.now() - begun;
  assert.deepEqual(refused, []);
  assert.equal(numbers.size, messages.length);
  await eventually(
    'empty queue',
    async () => ((await mailmeshJson<unknown[]>(dataDir, ['queue', 'list'])).length === 0 ? true : undefined),
    300_000,
  );
  const deliveredMs = performance.now() - begun;

  const places = { INBOX: 0, Junk: 0 };
  await withImap(server, alice, async (imap) => {
    for (const mailbox of ['INBOX', 'Junk'] as const) {
      const { exists } = await imap.mailboxOpen(mailbox);
      places[mailbox] = exists;
      if (exists === 0) continue;
      for await (const { source } of imap.fetch('1:*', { source: true })) {
        const stored = source!.toString('latin1');
        const queueId = /^Received: from client\.example .*?\sid\s([0-9a-z]+)\s/ms.exec(stored)![1]!;
        const number = numbers.get(queueId)!;
        numbers.delete(queueId);
        assert.ok(stored.endsWith(withoutRemoved(messages[number]!)), `${chosen[number]} is not what was sent`);
        const added = stored.slice(0, -withoutRemoved(messages[number]!).length);
        assert.match(added, /^Return-Path: <corpus@client\.example>\r\n(?:[!-9;-~]+:.*\r\n(?:[ \t].*\r\n)*)+$/);
      }
    }
  });
  assert.deepEqual([...numbers.values()], [], 'these are not there');
  t.diagnostic(
    `${messages.length} messages: accepted in ${Math.round(acceptedMs)} ms, delivered in ${Math.round(deliveredMs)} ms, ${places.INBOX} to INBOX, ${places.Junk} to Junk`,
  );
});
