/** What a start refuses is said in one line that names it, and a stop lets what is under way end. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { mailmesh } from '../support/cli.ts';
import { arrived, eventually, withImap } from '../support/clients.ts';
import { LineClient } from '../support/line-client.ts';
import { rest } from '../support/rest.ts';
import { type Login, newDataDir, removeDataDir, type Server, startServer } from '../support/server.ts';

let dataDir: string;
let server: Server;
let alice: Login;

before(async () => {
  dataDir = await newDataDir();
  server = await startServer(dataDir);
  alice = server.accounts[0]!;
});
after(async () => {
  if (server.process.exitCode === null) await server.kill();
  await removeDataDir(dataDir);
});

/** A start that must fail: its one line. */
async function refusal(folder: string, env: Readonly<Record<string, string>>): Promise<string> {
  const { code, out, err } = await mailmesh(folder, ['start'], { env });
  assert.notEqual(code, 0, out);
  assert.equal(out, '');
  assert.match(err, /^mailmesh: [^\n]+\n$/);
  return err;
}

test('a second process on the same data folder is refused', async () => {
  assert.match(await refusal(dataDir, {}), /data folder .* is in use by another process/);
});

test('a port in use is named, and a first start that failed of it has not used up the passwords', async (t) => {
  const folder = await newDataDir();
  t.after(() => removeDataDir(folder));
  const port = String(server.ports.imaps);
  const line = await refusal(folder, { MAILMESH_IMAPS_PORT: port });
  assert.match(line, new RegExp(`port ${port} \\(imaps\\) .*MAILMESH_IMAPS_PORT`));
  const second = await startServer(folder);
  assert.equal(second.accounts.length, 2);
  for (const login of second.accounts) await withImap(second, login, async () => undefined);
  assert.equal(await second.stop(), 0);
  const third = await startServer(folder);
  assert.deepEqual(third.accounts, []);
  for (const login of second.accounts) await withImap(third, login, async () => undefined);
  assert.equal(await third.stop(), 0);
});

test('an unknown option and a wrong value are named, with what would be right', async () => {
  const cases: readonly (readonly [env: Record<string, string>, said: RegExp])[] = [
    [{ MAILMESH_SMPT_PORT: '25' }, /MAILMESH_SMPT_PORT.*MAILMESH_SMTP_PORT/],
    [{ MAILMESH_IMAP_PORT: 'imap' }, /MAILMESH_IMAP_PORT: "imap": .*\d/],
    [{ MAILMESH_SIZE_BYTES_MAX: '-1' }, /MAILMESH_SIZE_BYTES_MAX: "-1"/],
    [{ MAILMESH_DRAIN_TIMEOUT_MS: '30 parsecs' }, /MAILMESH_DRAIN_TIMEOUT_MS: "30 parsecs"/],
    [{ MAILMESH_INSECURE_AUTH: 'true', MAILMESH_BIND: '0.0.0.0' }, /MAILMESH_INSECURE_AUTH.*MAILMESH_BIND/],
    [{ MAILMESH_TLS_CERT: '/nowhere/cert.pem', MAILMESH_TLS_KEY: '/nowhere/key.pem' }, /\/nowhere\/(cert|key)\.pem/],
  ];
  for (const [env, said] of cases) {
    const folder = await newDataDir();
    assert.match(await refusal(folder, env), said);
    await removeDataDir(folder);
  }
});

test('SIGTERM lets a message under way end with 250, tells others, and is ready no more', async () => {
  const sending = await LineClient.open(server.ports.smtp!);
  await sending.reply();
  await sending.smtp('EHLO client.example');
  await sending.smtp('MAIL FROM:<slow@client.example>');
  await sending.smtp(`RCPT TO:<${alice.address}>`);
  assert.match(await sending.smtp('DATA'), /^354 /);
  await sending.write('Message-ID: <under-way@client.example>\r\n\r\nthe first half, ');
  const idle = await LineClient.open(server.ports.smtp!);
  await idle.reply();
  const reading = await LineClient.open(server.ports.imaps!, { tls: true });
  await reading.line();
  await reading.imap(`LOGIN ${alice.address} ${alice.password}`);
  await reading.imap('SELECT INBOX');
  await reading.write('x IDLE\r\n');
  await reading.until(/^\+/);
  assert.equal((await rest(server, '/readyz')).status, 200);

  const stopped = server.stop();
  assert.match((await reading.line())!, /^\* BYE /);
  assert.match(await idle.reply(), /^421 4\.3\.2 /);
  await reading.closed();
  await idle.closed();
  const late = await eventually('end of listening', async () => {
    try {
      (await LineClient.open(server.ports.lmtp!)).close();
      return undefined;
    } catch (error) {
      return (error as NodeJS.ErrnoException).code;
    }
  });
  assert.equal(late, 'ECONNREFUSED');
  const ready = await rest(server, '/readyz');
  assert.equal(ready.status, 503);
  assert.equal((await rest(server, '/healthz')).status, 200);

  await sending.write('and the second one\r\n.\r\n');
  assert.match(await sending.reply(), /^250 2\.0\.0 /);
  assert.equal(await stopped, 0);

  const address = alice;
  server = await startServer(dataDir);
  await withImap(server, address, (imap) => arrived(imap, 'INBOX', '<under-way@client.example>'));
});
