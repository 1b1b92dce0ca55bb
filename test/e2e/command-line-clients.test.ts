/** Clients from distributions, where they are installed: swaks sends, curl reads and writes, mbsync keeps a Maildir in step. */

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, type TestContext, test } from 'node:test';
import { arrived, fetchSource, messageIds, withImap } from '../support/clients.ts';
import { type Login, newDataDir, removeDataDir, type Server, startServer } from '../support/server.ts';

let dataDir: string;
let work: string;
let server: Server;
let alice: Login;
let bob: Login;

before(async () => {
  dataDir = await newDataDir();
  work = await mkdtemp(join(tmpdir(), 'mailmesh-clients-'));
  server = await startServer(dataDir);
  [alice, bob] = server.accounts as [Login, Login];
});
after(async () => {
  assert.equal(await server.stop(), 0);
  await removeDataDir(dataDir);
  await rm(work, { recursive: true });
});

/** Whether a program is there; a test without it is skipped and says so. */
function installed(t: TestContext, program: string): boolean {
  if (spawnSync(program, ['--version']).error === undefined) return true;
  t.skip(`${program} is not installed`);
  return false;
}

async function run(program: string, args: readonly string[]): Promise<{ code: number; out: string; err: string }> {
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    cwd: work,
    env: { ...process.env, HOME: work },
  });
  child.stdout.setEncoding('latin1');
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
  return { code: code as number, out, err };
}

const swaks = (...args: readonly string[]) =>
  run('swaks', ['--server', '127.0.0.1', '--helo', 'client.example', '--suppress-data', ...args]);

test('swaks: the world, LMTP, submission, and what is refused', { timeout: 60_000 }, async (t) => {
  if (!installed(t, 'swaks')) return;
  const { smtp, lmtp, submission, submissions } = server.ports as Record<string, number>;
  const sent = async (id: string, ...args: readonly string[]): Promise<void> => {
    const { code, out, err } = await swaks('--header', `Message-ID: ${id}`, '--to', alice.address, ...args);
    assert.equal(code, 0, `${out}${err}`);
    await withImap(server, alice, (imap) => arrived(imap, 'INBOX', id));
  };
  await sent('<swaks-1@client.example>', '--port', String(smtp), '--from', 'x@client.example');
  await sent('<swaks-2@client.example>', '--port', String(smtp), '--from', 'x@client.example', '--tls', '--pipeline');
  await sent('<swaks-3@client.example>', '--port', String(lmtp), '--protocol', 'LMTP', '--from', 'x@client.example');
  const login = ['--from', bob.address, '--auth-user', bob.address, '--auth-password', bob.password];
  await sent('<swaks-4@client.example>', '--port', String(submission), '--tls', '--auth', 'PLAIN', ...login);
  await sent(
    '<swaks-5@client.example>',
    '--port',
    String(submissions),
    '--tls-on-connect',
    '--auth',
    'LOGIN',
    ...login,
  );
  const unknown = await swaks('--port', String(smtp), '--from', 'x@client.example', '--to', 'nobody@mail.localhost');
  assert.notEqual(unknown.code, 0);
  assert.match(unknown.out, /<\*\* 550 5\.1\.1 /);
  const relayed = await swaks('--port', String(smtp), '--from', 'x@client.example', '--to', 'x@elsewhere.example');
  assert.match(relayed.out, /<\*\* 550 5\.7\.1 /);
  const wrong = await swaks(
    '--port',
    String(submission),
    '--tls',
    '--auth',
    'PLAIN',
    '--from',
    bob.address,
    '--to',
    alice.address,
    '--auth-user',
    bob.address,
    '--auth-password',
    'wrong',
  );
  assert.match(wrong.out, /<~\* 535 5\.7\.8 /);
});

test('curl: sends by SMTP over TLS, reads, appends and searches by IMAP, reads by POP3', {
  timeout: 60_000,
}, async (t) => {
  if (!installed(t, 'curl')) return;
  const { submissions, imaps, pop3s, imap, smtp } = server.ports as Record<string, number>;
  const curl = async (...args: readonly string[]): Promise<string> => {
    const { code, out, err } = await run('curl', ['-sSk', ...args]);
    assert.equal(code, 0, `curl ${args.join(' ')}: ${err}`);
    return out;
  };
  const as = (login: Login): readonly string[] => ['--user', `${login.address}:${login.password}`];
  const mail = `From: ${bob.address}\r\nTo: ${alice.address}\r\nMessage-ID: <curl@client.example>\r\nDate: Tue, 24 Nov 2026 10:00:00 +0000\r\nSubject: curl\r\n\r\nby curl\r\n`;
  await writeFile(join(work, 'mail.eml'), mail);
  const upload = ['--mail-from', bob.address, '--mail-rcpt', alice.address, '--upload-file', 'mail.eml'];
  await curl(`smtps://127.0.0.1:${submissions}/client.example`, ...as(bob), ...upload);
  await curl('--ssl-reqd', `smtp://127.0.0.1:${smtp}/client.example`, ...upload);
  const uid = await withImap(server, alice, (client) => arrived(client, 'INBOX', '<curl@client.example>'));
  const box = `imaps://127.0.0.1:${imaps}/INBOX`;
  assert.ok((await curl(`${box};UID=${uid}`, ...as(alice))).endsWith(mail));
  assert.match(await curl(box, ...as(alice), '-X', 'STATUS INBOX (MESSAGES UNSEEN)'), /MESSAGES \d+ UNSEEN \d+/);
  assert.match(
    await curl(`${box}?SUBJECT curl`.replace(/ /g, '%20'), ...as(alice)),
    new RegExp(`SEARCH.*\\b${uid}\\b`),
  );
  await curl(`imaps://127.0.0.1:${imaps}/Drafts`, ...as(alice), '--upload-file', 'mail.eml');
  assert.equal(await curl(`imaps://127.0.0.1:${imaps}/Drafts;UID=1`, ...as(alice)), mail);
  assert.equal(await curl('--ssl-reqd', `imap://127.0.0.1:${imap}/Drafts;UID=1`, ...as(alice)), mail);
  const lines = (await curl(`pop3s://127.0.0.1:${pop3s}/`, ...as(alice))).trim().split('\r\n');
  assert.ok(lines.length >= 2);
  const last = await curl(`pop3s://127.0.0.1:${pop3s}/${lines.at(-1)!.split(' ')[0]}`, ...as(alice));
  assert.ok(last.endsWith(mail));
});

/** Message files of a Maildir, with the mailmesh-independent part of their name. */
async function maildir(folder: string): Promise<string[]> {
  const files = await Promise.all(
    ['cur', 'new'].map(async (sub) => (await readdir(join(folder, sub))).map((name) => join(folder, sub, name))),
  );
  return files.flat();
}

test('mbsync: a Maildir and an account are kept in step both ways, byte for byte', { timeout: 60_000 }, async (t) => {
  if (!installed(t, 'mbsync')) return;
  const local = join(work, 'local');
  await mkdir(local);
  await writeFile(
    join(work, 'mbsyncrc'),
    `IMAPAccount mailmesh
Host 127.0.0.1
Port ${server.ports.imaps}
User ${bob.address}
Pass "${bob.password}"
SSLType IMAPS
CertificateFile ${join(dataDir, 'tls', 'cert.pem')}
AuthMechs *

IMAPStore far
Account mailmesh

MaildirStore near
Path ${local}/
Inbox ${local}/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns * !Trash
Create Both
Expunge Both
SyncState *
`,
  );
  const sync = async (): Promise<void> => {
    const { code, out, err } = await run('mbsync', ['-c', 'mbsyncrc', 'all']);
    assert.equal(code, 0, `${out}${err}`);
  };
  const messages = [1, 2, 3].map((n) =>
    Buffer.from(`Message-ID: <sync-${n}@client.example>\r\nSubject: ${n}\r\n\r\ntext ${n}\r\n`),
  );
  await withImap(server, bob, async (imap) => {
    for (const message of messages) await imap.append('INBOX', message, ['\\Flagged']);
    await imap.mailboxCreate('Wörk/Ünder');
    await imap.append('Wörk/Ünder', messages[0]!);
  });
  await sync();
  const files = await maildir(join(local, 'INBOX'));
  const read = await Promise.all(
    files.map(async (file) => (await readFile(file, 'latin1')).replace(/X-TUID:[^\n]*\n/, '')),
  );
  assert.deepEqual(read.sort(), messages.map((message) => message.toString('latin1').replace(/\r\n/g, '\n')).sort());
  for (const file of files) assert.match(file, /:2,F$/);

  // One comes the other way, one is deleted here, one there.
  await writeFile(
    join(local, 'INBOX', 'new', '1.here'),
    'Message-ID: <here@client.example>\nSubject: here\n\nfrom here\n',
  );
  const second = files.find((_, i) => read[i]!.includes('text 2'))!;
  await rm(second);
  await withImap(server, bob, async (imap) => {
    const lock = await imap.getMailboxLock('INBOX');
    await imap.messageDelete({ header: { 'Message-ID': '<sync-1@client.example>' } });
    lock.release();
  });
  await sync();
  await withImap(server, bob, async (imap) => {
    const ids = await messageIds(imap, 'INBOX');
    assert.deepEqual([...ids.values()].sort(), ['<here@client.example>', '<sync-3@client.example>']);
    const [uid] = [...ids].find(([, id]) => id.startsWith('<here'))!;
    assert.match((await fetchSource(imap, 'INBOX', uid)).toString(), /\r\n\r\nfrom here\r\n$/);
  });
  assert.equal((await maildir(join(local, 'INBOX'))).length, 2);
  const before = (await maildir(join(local, 'INBOX'))).sort();
  await sync();
  assert.deepEqual((await maildir(join(local, 'INBOX'))).sort(), before, 'nothing moves when nothing has changed');
});
