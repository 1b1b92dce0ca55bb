/**
 * Messages made to break readers are each delivered unchanged or refused in words, in bounded time, and other clients are
 * answered meanwhile.
 */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { BAD_MESSAGES } from '../support/bad-messages.ts';
import { LineClient } from '../support/line-client.ts';
import { startProbe } from '../support/probe.ts';
import { type Login, newDataDir, removeDataDir, type Server, startServer } from '../support/server.ts';

const OTHERS_WAIT_MS_MAX = 500;
const WHOLE_MS_MAX = 20_000;
const CRLF = Buffer.from('\r\n');

let server: Server;
let alice: Login;
let bob: Login;
let dataDir: string;

before(async () => {
  dataDir = await newDataDir();
  server = await startServer(dataDir);
  [alice, bob] = server.accounts as [Login, Login];
});
after(async () => {
  await server.stop();
  await removeDataDir(dataDir);
});

/** Dot-stuffed, with the end of data. */
function asData(message: Buffer): Buffer {
  const text = message.toString('latin1');
  const ended = text === '' || text.endsWith('\r\n') ? text : `${text}\r\n`;
  return Buffer.from(`${ended.replace(/(^|\n)\./g, '$1..')}.\r\n`, 'latin1');
}

async function deliver(message: Buffer): Promise<string> {
  const lmtp = await LineClient.open(server.ports.lmtp!);
  await lmtp.reply();
  await lmtp.smtp('LHLO client.example');
  await lmtp.smtp('MAIL FROM:<bad@client.example>');
  await lmtp.smtp(`RCPT TO:<${alice.address}>`);
  assert.match(await lmtp.smtp('DATA'), /^354 /);
  await lmtp.write(asData(message));
  const reply = await lmtp.reply();
  lmtp.close();
  return reply;
}

async function openInbox(): Promise<LineClient> {
  const imap = await LineClient.open(server.ports.imaps!, { tls: true });
  await imap.line();
  assert.match((await imap.imap(`LOGIN ${alice.address} ${alice.password}`)).at(-1)!, /^x OK/);
  while (!(await imap.imap('SELECT INBOX')).includes('* 1 EXISTS'));
  return imap;
}

async function fetchWhole(imap: LineClient): Promise<Buffer> {
  await imap.write('x FETCH 1 BODY.PEEK[]\r\n');
  const line = (await imap.until(/\{\d+\}$/)).at(-1)!;
  const bytes = await imap.bytes(Number(/\{(\d+)\}$/.exec(line)![1]));
  await imap.until(/^x OK/);
  return bytes;
}

async function assertServed(message: Buffer): Promise<void> {
  const imap = await openInbox();
  try {
    const stored = await fetchWhole(imap);
    const ended = message.length === 0 || message.subarray(-2).equals(CRLF);
    const sent = ended ? message : Buffer.concat([message, CRLF]);
    assert.ok(stored.subarray(stored.length - sent.length).equals(sent), 'what is read is not what was sent');
    for (const what of ['ENVELOPE BODYSTRUCTURE RFC822.SIZE', 'BODY.PEEK[HEADER.FIELDS (X-1 X-8999)]'])
      assert.match((await imap.imap(`FETCH 1 (${what})`)).at(-1)!, /^x OK/);
    assert.match((await imap.imap('SEARCH TEXT "needle that is not there"')).at(-1)!, /^x OK/);
  } finally {
    await imap.imap('STORE 1 +FLAGS.SILENT (\\Deleted)');
    await imap.imap('EXPUNGE');
    imap.close();
  }
}

for (const { name, code, bytes } of BAD_MESSAGES) {
  test(`${name}: ${code === 250 ? 'delivered unchanged' : 'refused'}`, { timeout: 60_000 }, async (t) => {
    const message = bytes();
    const probe = await startProbe(server, bob);
    const begun = performance.now();
    const reply = await deliver(message);
    assert.equal(Number(reply.slice(0, 3)), code, reply);
    if (code === 250) await assertServed(message);
    else assert.match(reply, /^55\d 5\.\d\.\d <alice@mail\.localhost> \S/);
    const tookMs = Math.round(performance.now() - begun);
    const waitedMs = Math.round(await probe.stop());
    t.diagnostic(`${message.length} bytes, ${tookMs} ms, others waited ${waitedMs} ms: ${reply}`);
    assert.ok(tookMs < WHOLE_MS_MAX, `took ${tookMs} ms`);
    assert.ok(waitedMs < OTHERS_WAIT_MS_MAX, `another client waited ${waitedMs} ms`);
  });
}
