/** A certificate that is replaced and a clock that is set back while the server runs cost nobody a connection or a message. */

import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { connect, type TLSSocket } from 'node:tls';
import { pathToFileURL } from 'node:url';
import Pop3 from 'node-pop3';
import { selfSigned } from '../../mixins/self-signed.ts';
import { arrived, eventually, sender, withImap } from '../support/clients.ts';
import { LineClient } from '../support/line-client.ts';
import { newDataDir, removeDataDir, type Server, startServer } from '../support/server.ts';

/** The certificate is looked at every 10 s. */
const RELOAD_MS_MAX = 40_000;
const HOUR_MS = 3_600_000;
const CLOCK = pathToFileURL(join(import.meta.dirname, '..', 'support', 'shifting-clock.mjs')).href;

async function handshake(port: number): Promise<string> {
  const socket: TLSSocket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false });
  await once(socket, 'secureConnect');
  const { fingerprint256 } = socket.getPeerCertificate();
  socket.destroy();
  return fingerprint256;
}

test('a replaced certificate is used by the next handshake; a pair that does not fit is told and not used', {
  timeout: 120_000,
}, async (t) => {
  const dataDir = await newDataDir();
  const [certFile, keyFile] = [join(dataDir, 'c.pem'), join(dataDir, 'k.pem')];
  const pairs = [1, 2].map((day) => selfSigned('mail.localhost', ['127.0.0.1'], Date.now() - day * 24 * HOUR_MS));
  const prints = pairs.map(({ cert }) => new X509Certificate(cert).fingerprint256);
  await writeFile(certFile, pairs[0]!.cert);
  await writeFile(keyFile, pairs[0]!.key);
  const server = await startServer(dataDir, { MAILMESH_TLS_CERT: certFile, MAILMESH_TLS_KEY: keyFile });
  t.after(async () => {
    await server.stop();
    await removeDataDir(dataDir);
  });
  const imaps = server.ports.imaps!;
  assert.equal(await handshake(imaps), prints[0]);
  const kept = await LineClient.open(imaps, { tls: true });
  await kept.line();

  await writeFile(certFile, pairs[1]!.cert);
  await eventually(
    'log line about the pair',
    () => (server.log.some((line) => line.includes('"room":"tls"')) ? true : undefined),
    RELOAD_MS_MAX,
  );
  assert.equal(await handshake(imaps), prints[0], 'the pair that fits stays in use');
  await writeFile(keyFile, pairs[1]!.key);
  await eventually(
    'handshake with the new certificate',
    async () => ((await handshake(imaps)) === prints[1] ? true : undefined),
    RELOAD_MS_MAX,
  );
  assert.match((await kept.imap('NOOP')).at(-1)!, /^x OK/, 'connections made before go on');
  kept.close();
  const transport = sender(server, 'submission', server.accounts[0]!);
  assert.equal(await transport.verify(), true);
  transport.close();
  assert.equal(await handshake(server.ports.pop3s!), prints[1]);
});

async function send(server: Server, id: string): Promise<void> {
  const transport = sender(server, 'smtp');
  await transport.sendMail({
    from: 'clock@client.example',
    to: server.accounts[0]!.address,
    subject: 'clock',
    messageId: id,
    text: 'tick',
  });
  transport.close();
}

test('mail, logins and open connections go on when the clock is set back by an hour', {
  timeout: 90_000,
}, async (t) => {
  const dataDir = await newDataDir();
  const server = await startServer(dataDir, { NODE_OPTIONS: `--import ${CLOCK}` });
  t.after(async () => {
    await server.stop();
    await removeDataDir(dataDir);
  });
  const [alice] = server.accounts;
  await withImap(server, alice!, async (imap) => {
    await send(server, '<before@client.example>');
    await arrived(imap, 'INBOX', '<before@client.example>');
    const idle = await LineClient.open(server.ports.imaps!, { tls: true });
    await idle.line();
    await idle.imap(`LOGIN ${alice!.address} ${alice!.password}`);
    await idle.imap('SELECT INBOX');
    await idle.write('x IDLE\r\n');
    await idle.until(/^\+/);

    server.process.kill('SIGUSR2');
    await eventually('clock that was set back', () => (server.log.includes('clock set back') ? true : undefined));
    for (let i = 0; i < 5; i++) await send(server, `<after-${i}@client.example>`);
    await idle.until(/^\* 6 EXISTS/);
    for (let i = 0; i < 5; i++) await arrived(imap, 'INBOX', `<after-${i}@client.example>`);
    const lock = await imap.getMailboxLock('INBOX');
    assert.ok(await imap.messageFlagsAdd('1:*', ['\\Seen']));
    const moved = await imap.messageMove('1:2', 'Archive');
    lock.release();
    assert.ok(moved !== false && moved !== undefined);
    await idle.write('DONE\r\n');
    assert.match((await idle.until(/^x /)).at(-1)!, /^x OK/);
    idle.close();
  });
  const pop3 = new Pop3({
    host: '127.0.0.1',
    port: server.ports.pop3s!,
    tls: true,
    servername: 'mail.localhost',
    tlsOptions: { rejectUnauthorized: false },
    user: alice!.address,
    password: alice!.password,
  });
  const uids = (await pop3.UIDL()) as string[][];
  assert.equal(new Set(uids.map(([, uid]) => uid)).size, 4);
  await pop3.QUIT();
  const wrong = server.log.filter((line) => /"level":(50|60)/.test(line));
  assert.deepEqual(wrong, []);
});
