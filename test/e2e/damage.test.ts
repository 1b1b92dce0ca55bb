/** Damaged bytes on the disk are named by `mailmesh verify`, and whatever is sound is served meanwhile. */

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { open, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { mailmesh, mailmeshJson } from '../support/cli.ts';
import { arrived, fetchSource, sender, withImap } from '../support/clients.ts';
import { LineClient } from '../support/line-client.ts';
import { type Login, newDataDir, removeDataDir, type Server, startServer } from '../support/server.ts';

interface Report {
  readonly damage: readonly { readonly what: string; readonly detail: string; readonly repaired: boolean }[];
}

const text = (number: number): string => `needle ${number} ${randomBytes(3_000).toString('hex')}`;

async function verify(dataDir: string, ...flags: readonly string[]): Promise<{ code: number | null; report: Report }> {
  const { code, out, err } = await mailmesh(dataDir, ['verify', '--json', ...flags]);
  assert.notEqual(out, '', err);
  return { code, report: JSON.parse(out) as Report };
}

async function overwrite(file: string, position: number, bytes: Uint8Array): Promise<void> {
  const handle = await open(file, 'r+');
  await handle.write(bytes, 0, bytes.length, position);
  await handle.close();
}

/** The file below a folder that holds these bytes, and where. */
async function findBytes(folder: string, bytes: string): Promise<{ file: string; position: number }> {
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || entry.name.includes('.db')) continue;
    const file = join(entry.parentPath, entry.name);
    const position = (await readFile(file)).indexOf(bytes);
    if (position >= 0) return { file, position };
  }
  throw new Error(`nothing below ${folder} holds ${bytes}`);
}

async function deliver(server: Server, to: Login, number: number): Promise<void> {
  const transport = sender(server, 'smtp');
  await transport.sendMail({
    from: 'x@client.example',
    to: to.address,
    subject: `message ${number}`,
    messageId: `<damage-${number}@client.example>`,
    text: text(number),
  });
  transport.close();
  await withImap(server, to, (imap) => arrived(imap, 'INBOX', `<damage-${number}@client.example>`));
}

/** The number of the shard with the account, by its address. */
async function shardOf(dataDir: string, address: string): Promise<number> {
  const { id } = await mailmeshJson<{ id: string }>(dataDir, ['account', 'show', address]);
  for (const shard of [0, 1]) {
    const db = new DatabaseSync(join(dataDir, `mail-${shard}.db`), { readOnly: true });
    const found = db.prepare('SELECT 1 FROM accounts WHERE id = ?').get(id);
    db.close();
    if (found !== undefined) return shard;
  }
  throw new Error(`${address} is in no shard`);
}

test('a damaged pack is named with the message that it took, and the others are read', {
  timeout: 90_000,
}, async (t) => {
  const dataDir = await newDataDir();
  let server = await startServer(dataDir);
  t.after(async () => {
    if (server.process.exitCode === null) await server.kill();
    await removeDataDir(dataDir);
  });
  const alice = server.accounts[0]!;
  for (const number of [1, 2, 3]) await deliver(server, alice, number);
  assert.equal((await verify(dataDir)).code, 0);
  await server.stop();
  const { file, position } = await findBytes(dataDir, 'needle 2');
  await overwrite(file, position, Buffer.from('damage 2'));

  server = await startServer(dataDir);
  const { code, report } = await verify(dataDir);
  assert.equal(code, 1);
  assert.equal(report.damage.length, 1, JSON.stringify(report));
  assert.match(report.damage[0]!.what, /^pack \d+, offset \d+, blob [0-9a-f]{64}$/);
  await withImap(server, alice, async (imap) => {
    for (const uid of [1, 3])
      assert.match((await fetchSource(imap, 'INBOX', uid)).toString(), new RegExp(`needle ${uid}`));
    const list = await imap.status('INBOX', { messages: true });
    assert.ok(list !== false && list.messages === 3);
  });
  const reading = await LineClient.open(server.ports.imaps!, { tls: true });
  await reading.line();
  await reading.imap(`LOGIN ${alice.address} ${alice.password}`);
  await reading.imap('SELECT INBOX');
  assert.match((await reading.imap('FETCH 2 (FLAGS ENVELOPE BODYSTRUCTURE)')).at(-1)!, /^x OK/);
  assert.doesNotMatch(
    (await reading.imap('FETCH 2 BODY[]')).join('\n'),
    /^x OK/m,
    'damaged bytes are not served as if they were sound',
  );
  for (const key of ['TEXT needle', 'BODY "needle"', 'HEADER Message-ID damage'])
    assert.deepEqual((await reading.imap(`SEARCH ${key}`)).slice(0, 1), ['* SEARCH 1 3'], 'the others are found');
  assert.match((await reading.imap('COPY 2 Archive')).at(-1)!, /^x OK/);
  reading.close();
  await deliver(server, alice, 4);
});

test("a damaged database page is named with its file, and the other shard's accounts are served", {
  timeout: 90_000,
}, async (t) => {
  const dataDir = await newDataDir();
  let server = await startServer(dataDir);
  t.after(async () => {
    if (server.process.exitCode === null) await server.kill();
    await removeDataDir(dataDir);
  });
  const [alice, bob] = server.accounts as [Login, Login];
  const shard = await shardOf(dataDir, alice.address);
  // Accounts are put into shards by chance: more of them until there is one in the other.
  let sound = bob;
  for (let i = 0; (await shardOf(dataDir, sound.address)) === shard; i++) {
    sound = { address: `user${i}@mail.localhost`, password: 'a password' };
    await mailmeshJson(dataDir, ['account', 'add', sound.address, '--password-stdin'], {
      input: `${sound.password}\n`,
    });
  }
  for (let number = 0; number < 3; number++) for (const login of [alice, sound]) await deliver(server, login, number);
  await server.stop();
  const file = join(dataDir, `mail-${shard}.db`);
  const db = new DatabaseSync(file, { readOnly: true });
  const { rootpage } = db.prepare("SELECT rootpage FROM sqlite_master WHERE name = 'contents'").get() as {
    rootpage: number;
  };
  const { page_size: pageSize } = db.prepare('PRAGMA page_size').get() as { page_size: number };
  db.close();
  await overwrite(file, (rootpage - 1) * pageSize, randomBytes(pageSize));

  server = await startServer(dataDir);
  const { code, report } = await verify(dataDir);
  assert.equal(code, 1);
  assert.ok(
    report.damage.some(({ what, detail }) => `${what} ${detail}`.includes(`mail-${shard}.db`)),
    JSON.stringify(report),
  );
  await deliver(server, sound, 3);
  await withImap(server, sound, async (imap) => {
    assert.match((await fetchSource(imap, 'INBOX', 1)).toString(), /needle 0/);
  });
  // The other account gets answers too, and its connections harm nobody.
  const reading = await LineClient.open(server.ports.imaps!, { tls: true });
  await reading.line();
  assert.match((await reading.imap(`LOGIN ${alice.address} ${alice.password}`)).at(-1)!, /^x OK/);
  await reading.imap('SELECT INBOX');
  const answer = (await reading.imap('FETCH 1 BODY[]')).at(-1)!;
  assert.match(answer, /^x NO \[(SERVERBUG|UNAVAILABLE|CORRUPTION)\]/);
  reading.close();
});

test('certificate, model and indexes that are damaged are made anew; labels are not, and are named', {
  timeout: 90_000,
}, async (t) => {
  const dataDir = await newDataDir();
  let server = await startServer(dataDir);
  t.after(async () => {
    if (server.process.exitCode === null) await server.kill();
    await removeDataDir(dataDir);
  });
  const alice = server.accounts[0]!;
  await deliver(server, alice, 1);
  await server.stop();
  const [model] = (await readdir(join(dataDir, 'models'))).filter((name) => name.endsWith('.model'));
  await overwrite(join(dataDir, 'models', model!), 1_000, randomBytes(100));
  await overwrite(join(dataDir, 'tls', 'cert.pem'), 0, Buffer.from('garbage'));
  for (const [name, pages] of [
    ['search.db', [0]],
    ['blobs.db', [1, 2, 3, 4]],
    ['samples.db', [2, 3, 4, 5, 6, 7, 8]],
  ] as const)
    for (const page of pages) await overwrite(join(dataDir, name), page * 4096, randomBytes(4096));

  server = await startServer(dataDir);
  await deliver(server, alice, 2);
  await withImap(server, alice, async (imap) => {
    for (const uid of [1, 2])
      assert.match((await fetchSource(imap, 'INBOX', uid)).toString(), new RegExp(`needle ${uid}`));
  });
  const { code, report } = await verify(dataDir);
  assert.equal(code, 1);
  assert.deepEqual([...new Set(report.damage.map(({ what }) => what))], [join(dataDir, 'samples.db')]);
  assert.equal(await server.stop(), 0);
});
