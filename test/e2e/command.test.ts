/** The mailmesh command against a running and a stopped server: administration, import and export, traces, backup and restore. */

import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { mailmesh, mailmeshJson } from '../support/cli.ts';
import { arrived, eventually, fetchSource, messageIds, withImap } from '../support/clients.ts';
import { LineClient } from '../support/line-client.ts';
import { rest } from '../support/rest.ts';
import { type Login, newDataDir, removeDataDir, type Server, startServer } from '../support/server.ts';

const CAROL: Login = { address: 'carol@example.org', password: 'correct horse battery staple' };
const CRLF = '\r\n';

let dataDir: string;
let work: string;
let server: Server;
let alice: Login;
let bob: Login;

before(async () => {
  dataDir = await newDataDir();
  work = await mkdtemp(join(tmpdir(), 'mailmesh-command-'));
  server = await startServer(dataDir);
  [alice, bob] = server.accounts as [Login, Login];
});
after(async () => {
  if (server.process.exitCode === null) await server.kill();
  await removeDataDir(dataDir);
  await rm(work, { recursive: true });
});

async function ok(...argv: readonly string[]): Promise<string> {
  const { code, out, err } = await mailmesh(dataDir, argv);
  assert.equal(code, 0, `mailmesh ${argv.join(' ')}: ${err}${out}`);
  return out;
}

/** The reply to a message's last command. */
async function send(to: string, message: string): Promise<string> {
  const client = await LineClient.open(server.ports.smtp!);
  await client.reply();
  await client.smtp('EHLO client.example');
  await client.smtp('MAIL FROM:<x@client.example>');
  const accepted = await client.smtp(`RCPT TO:<${to}>`);
  if (!accepted.startsWith('250 ')) return accepted;
  await client.smtp('DATA');
  const reply = await client.smtp(`${message}\r\n.`);
  client.close();
  return reply;
}

const queueIdOf = (reply: string): string => /Accepted ([0-9a-z]+)/.exec(reply)![1]!;

interface Record {
  readonly queueId: string;
  readonly state: string;
}

test('domains, accounts and aliases are made, listed, changed and removed while the server runs', async () => {
  await ok('domain', 'add', 'example.org');
  await mailmeshJson(dataDir, ['account', 'add', CAROL.address, '--password-stdin', '--quota', '30K'], {
    input: `${CAROL.password}\n`,
  });
  await withImap(server, CAROL, async (imap) => {
    const quota = await imap.getQuota('INBOX');
    assert.ok(quota !== false && quota.storage?.limit === 30 * 1024);
  });
  const listed = await mailmeshJson<{ address: string }[]>(dataDir, ['account', 'list']);
  assert.deepEqual(listed.map(({ address }) => address).sort(), [alice.address, bob.address, CAROL.address].sort());
  assert.match(await ok('account', 'list'), /carol@example\.org/);
  const again = await mailmesh(dataDir, ['account', 'add', CAROL.address, '--password-stdin'], { input: 'x\n' });
  assert.notEqual(again.code, 0);
  assert.match(again.err, /^mailmesh: [^\n]+\n$/);
  await ok('alias', 'add', 'sales@example.org', CAROL.address);
  await ok('alias', 'set', 'sales@example.org', CAROL.address, alice.address);
  assert.match(await ok('alias', 'show', 'sales@example.org'), /carol@example\.org/);
  await ok('alias', 'remove', 'sales@example.org');
  assert.match(await send('sales@example.org', 'x'), /^550 5\.1\.1 /);
  assert.notEqual(
    (await mailmesh(dataDir, ['domain', 'remove', 'example.org'])).code,
    0,
    'a domain with accounts stays',
  );
});

test('API keys work until they are revoked', async () => {
  const { id, secret } = await mailmeshJson<{ id: string; secret: string }>(dataDir, [
    'apikey',
    'create',
    'k',
    '--scope',
    'read',
  ]);
  assert.equal((await rest(server, '/v1/accounts', { key: secret })).status, 200);
  assert.doesNotMatch(await ok('apikey', 'list', '--json'), new RegExp(secret));
  await ok('apikey', 'revoke', id);
  assert.equal((await rest(server, '/v1/accounts', { key: secret })).status, 401);
});

test('a trace tells the way of what was delivered and of what was refused', async () => {
  const reply = await send(alice.address, 'Message-ID: <way@client.example>\r\nSubject: way\r\n\r\nx');
  await withImap(server, alice, (imap) => arrived(imap, 'INBOX', '<way@client.example>'));
  for (const id of [queueIdOf(reply), '<way@client.example>', 'way@client.example']) {
    const out = await ok('trace', id);
    for (const step of [/accepted/, /authentication: /, /spam: /, /into INBOX, uid 1/, /left the queue: done/])
      assert.match(out, step);
  }
  assert.match(
    await send(alice.address, `Delivered-To: ${alice.address}\r\nMessage-ID: <circle@client.example>\r\n\r\nx`),
    /^554 /,
  );
  const refused = await eventually('trace of the refusal', async () => {
    const { code, out } = await mailmesh(dataDir, ['trace', '<circle@client.example>']);
    return code === 0 ? out : undefined;
  });
  assert.match(refused, /refused at DATA/);
  assert.match(refused, /answered 554 5\.4\.6 /);
  assert.match(await send('nobody@mail.localhost', 'x'), /^550 /);
  const [latest] = await eventually('refusal at RCPT', async () => {
    const found = await mailmeshJson<Record[]>(dataDir, ['queue', 'list', '--state', 'refused']);
    return found.length === 3 ? found : undefined;
  });
  assert.match(await ok('trace', latest!.queueId), /refused at RCPT.*nobody@mail\.localhost.*answered 550 5\.1\.1/s);
  assert.notEqual((await mailmesh(dataDir, ['trace', '<unknown@client.example>'])).code, 0);
});

test('the queue shows what waits, tries it again, and gives it up', async () => {
  const big = `Message-ID: <big-1@client.example>\r\n\r\n${'x'.repeat(25_000)}`;
  await send(CAROL.address, big);
  await withImap(server, CAROL, (imap) => arrived(imap, 'INBOX', '<big-1@client.example>'));
  const [second, third] = await Promise.all(
    [2, 3].map(async (n) => queueIdOf(await send(CAROL.address, big.replace('big-1', `big-${n}`)))),
  );
  const waiting = await eventually('waiting messages', async () => {
    const found = await mailmeshJson<(Record & { jobs: { state: string }[] })[]>(dataDir, [
      'queue',
      'list',
      '--stage',
      'delivery',
    ]);
    return found.length === 2 && found.every(({ jobs }) => jobs.some(({ state }) => state === 'waiting'))
      ? found
      : undefined;
  });
  assert.deepEqual(waiting.map(({ queueId }) => queueId).sort(), [second, third].sort());
  assert.match(await ok('queue', 'show', second!), /delivery waits until .*, tried \d+ times?: .*quota/);
  await ok('queue', 'drop', third!, '--why', 'test', '--yes');
  await ok('account', 'set', CAROL.address, '--quota', '1M');
  const retry = await mailmesh(dataDir, ['queue', 'retry', second!]);
  // Its own next try may have come first: then there is nothing left to try.
  if (retry.code !== 0) assert.match(retry.err, /Not found/);
  await withImap(server, CAROL, (imap) => arrived(imap, 'INBOX', '<big-2@client.example>'));
  // It is to be seen before its job is noted as done.
  await eventually('an empty queue', async () => {
    const left = await mailmeshJson<Record[]>(dataDir, ['queue', 'list']);
    return left.length === 0 ? true : undefined;
  });
  assert.match(await ok('trace', third!), /dropped/);
});

const MBOX = ['one', 'two', 'three'].map((name) => ({
  id: `<mbox-${name}@client.example>`,
  text: `From: x@client.example\nMessage-ID: <mbox-${name}@client.example>\nSubject: ${name}\n\nDear ${name},\n>From is quoted,\n>>From twice.\n\n`,
}));
const stored = (text: string): string =>
  text
    .replace(/^>(>*From )/gm, '$1')
    .replace(/\n/g, CRLF)
    .replace(/\r\n$/, '');

test('an mbox is imported once however often, and exported as it was', async () => {
  const file = join(work, 'old.mbox');
  await writeFile(file, MBOX.map(({ text }) => `From x@client.example Tue Nov 24 10:00:00 2026\n${text}`).join(''));
  for (let times = 0; times < 2; times++) await ok('import', 'mbox', bob.address, file, '--mailbox', 'Archive');
  await withImap(server, bob, async (imap) => {
    const ids = await messageIds(imap, 'Archive');
    assert.deepEqual([...ids.values()].sort(), MBOX.map(({ id }) => id).sort());
    for (const [uid, id] of ids)
      assert.equal(
        (await fetchSource(imap, 'Archive', uid)).toString(),
        stored(MBOX.find((one) => one.id === id)!.text),
      );
  });
  await ok('export', 'mbox', bob.address, join(work, 'mbox-out'), '--mailbox', 'Archive');
  const written = await readFile(join(work, 'mbox-out', 'Archive.mbox'), 'latin1');
  const bodies = written
    .split(/^From .*\r?\n/m)
    .slice(1)
    .map((text) => text.replace(/\r\n/g, '\n').replace(/\n+$/, ''));
  assert.deepEqual(bodies.sort(), MBOX.map(({ text }) => text.replace(/\n+$/, '')).sort());
});

/** A Maildir++ folder's messages by mailbox, with their flags. */
async function readMaildir(folder: string): Promise<string[]> {
  const found: string[] = [];
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !/\/(cur|new)$/.test(entry.parentPath)) continue;
    const box = entry.parentPath.slice(folder.length).replace(/\/(cur|new)$/, '');
    const flags = /:2,([A-Za-z]*)$/.exec(entry.name)?.[1] ?? '';
    found.push(`${box} ${flags} ${await readFile(join(entry.parentPath, entry.name), 'latin1')}`);
  }
  return found.sort();
}

test('a Maildir comes back byte for byte, with flags and folders', async () => {
  const source = join(work, 'maildir');
  for (const box of ['', '.Work', '.Work.2026'])
    for (const sub of ['cur', 'new', 'tmp']) await mkdir(join(source, box, sub), { recursive: true });
  const bytes = `Message-ID: <dir@client.example>${CRLF}${CRLF}no line end at the end, and a \xe4`;
  await writeFile(join(source, 'cur', '1764000000.1.host:2,FS'), Buffer.from(bytes, 'latin1'));
  await writeFile(join(source, 'new', '1764000001.2.host'), `Subject: new${CRLF}${CRLF}new${CRLF}`);
  await writeFile(
    join(source, '.Work', 'cur', '1764000002.3.host:2,RS'),
    `Subject: work${CRLF}${CRLF}.dots${CRLF}.${CRLF}`,
  );
  await writeFile(join(source, '.Work.2026', 'cur', '1764000003.4.host:2,'), `Subject: year${CRLF}${CRLF}\0${CRLF}`);
  await mailmeshJson(dataDir, ['account', 'add', 'dir@example.org', '--password-stdin'], { input: 'a password\n' });
  await ok('import', 'maildir', 'dir@example.org', source);
  await ok('export', 'maildir', 'dir@example.org', join(work, 'maildir-out'));
  assert.deepEqual(await readMaildir(join(work, 'maildir-out')), await readMaildir(source));
  await ok('export', 'eml', 'dir@example.org', join(work, 'eml-out'));
  const files = (await readdir(join(work, 'eml-out'), { recursive: true })).filter((name) => name.endsWith('.eml'));
  assert.equal(files.length, 4);
});

test('a backup made while the server runs is restored elsewhere, whole', { timeout: 60_000 }, async (t) => {
  const backup = join(work, 'backup');
  await ok('backup', backup);
  const restored = join(work, 'restored');
  const { code, err } = await mailmesh(restored, ['restore', backup]);
  assert.equal(code, 0, err);
  assert.notEqual((await mailmesh(restored, ['restore', backup])).code, 0, 'a folder that is not empty is left alone');
  assert.equal((await mailmesh(restored, ['verify'])).code, 0);
  const other = await startServer(restored);
  t.after(() => other.stop());
  for (const login of [alice, bob, CAROL]) {
    const [here, there] = await Promise.all(
      [server, other].map((one) =>
        withImap(one, login, async (imap) => {
          const sources: string[] = [];
          for (const { path } of await imap.list())
            for (const uid of (await messageIds(imap, path)).keys())
              sources.push(`${path} ${uid} ${await fetchSource(imap, path, uid)}`);
          return sources.sort();
        }),
      ),
    );
    assert.ok(here!.length > 0);
    assert.deepEqual(there, here);
  }
});

test('the same commands work while the server is stopped', { timeout: 60_000 }, async () => {
  assert.equal(await server.stop(), 0);
  const offline: Login = { address: 'offline@example.org', password: 'made while nobody listened' };
  await mailmeshJson(dataDir, ['account', 'add', offline.address, '--password-stdin'], {
    input: `${offline.password}\n`,
  });
  await ok('alias', 'add', 'off@example.org', offline.address);
  assert.match(await ok('account', 'show', offline.address), /offline@example\.org/);
  assert.match(await ok('trace', '<way@client.example>'), /into INBOX, uid 1/);
  await ok('export', 'maildir', 'dir@example.org', join(work, 'offline-out'));
  assert.deepEqual(await readMaildir(join(work, 'offline-out')), await readMaildir(join(work, 'maildir-out')));
  await ok('import', 'mbox', offline.address, join(work, 'old.mbox'));
  assert.match(await ok('model', 'list'), /active/);
  await ok('verify');
  server = await startServer(dataDir);
  await withImap(server, offline, async (imap) => assert.equal((await messageIds(imap, 'INBOX')).size, 3));
});
