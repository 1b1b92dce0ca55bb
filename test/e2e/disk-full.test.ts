/**
 * On a full disk mail is refused for now (452 4.3.1) before 250 is said, reading goes on, and once there is space again
 * the server takes mail by itself. Needs root, for a small file system of its own.
 */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { rm, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { ImapFlow } from 'imapflow';
import { mailmesh } from '../support/cli.ts';
import { eventually, fetchSource, imapClient, messageIds } from '../support/clients.ts';
import { LineClient } from '../support/line-client.ts';
import { rest } from '../support/rest.ts';
import { type Login, newDataDir, removeDataDir, type Server, startServer } from '../support/server.ts';

const SIZE = '48m';

/** Mounts a small file system; false, with the reason printed, where that can't be had. */
function mount(t: TestContext, folder: string): boolean {
  const { status, error, stderr } = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${SIZE}`, 'tmpfs', folder]);
  if (status === 0) return true;
  t.skip(`no file system of its own can be mounted: ${error?.message ?? stderr.toString().trim()}`);
  return false;
}

/** Fills what is free with files, down to the last block. */
async function fill(folder: string): Promise<readonly string[]> {
  const files: string[] = [];
  for (let sizeBytes = 8 * 1024 * 1024; sizeBytes >= 4096; ) {
    const file = join(folder, `ballast-${files.length}`);
    files.push(file);
    try {
      await writeFile(file, randomBytes(sizeBytes));
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, 'ENOSPC');
      sizeBytes = Math.floor(sizeBytes / 4);
    }
  }
  assert.ok((await statfs(folder)).bavail <= 2);
  return files;
}

class Sender {
  readonly #client: LineClient;
  readonly #kind: 'smtp' | 'lmtp';
  readonly #to: string;
  constructor(client: LineClient, kind: 'smtp' | 'lmtp', to: string) {
    this.#client = client;
    this.#kind = kind;
    this.#to = to;
  }

  static async open(server: Server, kind: 'smtp' | 'lmtp', to: string): Promise<Sender> {
    const client = await LineClient.open(server.ports[kind]!);
    await client.reply();
    await client.smtp(kind === 'smtp' ? 'EHLO client.example' : 'LHLO client.example');
    return new Sender(client, kind, to);
  }

  /** The reply to a message, wherever it was refused. */
  async send(id: string, sizeBytes: number): Promise<string> {
    for (const command of ['MAIL FROM:<x@client.example>', `RCPT TO:<${this.#to}>`, 'DATA']) {
      const reply = await this.#client.smtp(command);
      if (!/^(250|354) /.test(reply)) {
        await this.#client.smtp('RSET');
        return reply;
      }
    }
    const body = randomBytes(sizeBytes / 2)
      .toString('hex')
      .replace(/.{76}/g, '$&\r\n');
    return this.#client.smtp(`Message-ID: ${id}\r\nSubject: ${this.#kind}\r\n\r\n${body}\r\n.`);
  }

  close(): void {
    this.#client.close();
  }
}

test('a disk that fills up and is emptied again', { timeout: 180_000 }, async (t) => {
  const dataDir = await newDataDir();
  const mounted = mount(t, dataDir);
  if (mounted) await onSmallDisk(dataDir).finally(() => spawnSync('umount', [dataDir]));
  await removeDataDir(dataDir);
});

async function onSmallDisk(dataDir: string): Promise<void> {
  const server = await startServer(dataDir);
  const alice: Login = server.accounts[0]!;
  const promised = new Set<string>();
  const smtp = await Sender.open(server, 'smtp', alice.address);
  const lmtp = await Sender.open(server, 'lmtp', alice.address);
  const imap = await imapClient(server, alice);
  try {
    await fillAndEmpty({ dataDir, server, promised, smtp, lmtp, imap });
  } finally {
    smtp.close();
    lmtp.close();
    imap.close();
    if (server.process.exitCode === null) await server.kill();
  }
}

interface Scene {
  readonly dataDir: string;
  readonly server: Server;
  readonly promised: Set<string>;
  readonly smtp: Sender;
  readonly lmtp: Sender;
  readonly imap: ImapFlow;
}

async function fillAndEmpty({ dataDir, server, promised, smtp, lmtp, imap }: Scene): Promise<void> {
  const send = async (sender: Sender, id: string, sizeBytes: number): Promise<string> => {
    const reply = await sender.send(id, sizeBytes);
    if (reply.startsWith('250 ')) promised.add(id);
    return reply;
  };
  assert.match(await send(smtp, '<before@client.example>', 10_000), /^250 /);
  await eventually('first message', async () => ((await messageIds(imap, 'INBOX')).size === 1 ? true : undefined));

  const ballast = await fill(dataDir);
  const replies = new Set<string>();
  for (let i = 0; i < 10; i++) {
    replies.add((await send(smtp, `<smtp-${i}@client.example>`, 200_000)).slice(0, 9));
    replies.add((await send(lmtp, `<lmtp-${i}@client.example>`, 200_000)).slice(0, 9));
  }
  // The stores may have a little space of their own left at first.
  replies.delete('250 2.0.0');
  assert.deepEqual([...replies], ['452 4.3.1']);

  const [uid] = [...(await messageIds(imap, 'INBOX')).keys()];
  assert.match((await fetchSource(imap, 'INBOX', uid!)).toString(), /<before@client\.example>/);
  await assert.rejects(
    imap.append('INBOX', Buffer.alloc(300_000, 'Subject: x\r\n')),
    (error: Error & { serverResponseCode?: string }) => error.serverResponseCode === 'UNAVAILABLE',
  );
  assert.equal((await rest(server, '/healthz')).status, 200);

  for (const file of ballast) await rm(file);
  assert.match(await send(smtp, '<after-smtp@client.example>', 100_000), /^250 /);
  assert.match(await send(lmtp, '<after-lmtp@client.example>', 100_000), /^250 /);
  const stored = await eventually(
    'everything that was promised',
    async () => {
      const ids = [...(await messageIds(imap, 'INBOX')).values(), ...(await messageIds(imap, 'Junk')).values()];
      return [...promised].every((id) => ids.includes(id)) ? ids : undefined;
    },
    60_000,
  );
  assert.deepEqual(stored.sort(), [...promised].sort(), 'nothing is there that was refused, nothing is there twice');
  assert.equal(await server.stop(), 0);
  const { code, out } = await mailmesh(dataDir, ['verify', '--json']);
  assert.equal(code, 0, out);
}
