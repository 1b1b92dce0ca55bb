/**
 * The main job with clients nobody here wrote: a message sent by SMTP is filtered, stored and read back byte for byte by
 * IMAP and POP3; its owner moves it to Junk; the model learns from that, and its next version filters the next message.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ImapFlow } from 'imapflow';
import Pop3 from 'node-pop3';
import { mailmeshJson } from '../support/cli.ts';
import { arrived, eventually, fetchSource, imapClient, sender } from '../support/clients.ts';
import { rest } from '../support/rest.ts';
import { type Login, newDataDir, removeDataDir, type Server, startServer } from '../support/server.ts';

const SENDER = 'offers@shop.example';

/** Unlike any spam the shipped model knows, so that only what is learned here can make it spam. */
const message = (number: number): Buffer =>
  Buffer.from(
    [
      `From: Garden club <${SENDER}>`,
      'To: alice@mail.localhost',
      `Subject: Watering rota for greenhouse seven, week ${number}`,
      `Message-ID: <rota-${number}@shop.example>`,
      `Date: Tue, 24 Nov 2026 10:0${number}:00 +0000`,
      'MIME-Version: 1.0',
      'Content-Type: text/plain; charset=utf-8',
      'Content-Transfer-Encoding: 8bit',
      '',
      `Hello, this is the watering rota for greenhouse seven. Grüße, ${number}.`,
      '.a line that begins with a full stop',
      '',
      'Please tell the club when you cannot come. Zinnias, marrows and pelargoniums want water in the evening.',
      '',
    ].join('\r\n'),
  );

interface Model {
  readonly version: number;
  readonly id: string;
  readonly state: string;
}

let server: Server;
let alice: Login;
let imap: ImapFlow;

async function send(number: number): Promise<Buffer> {
  const raw = message(number);
  const transport = sender(server, 'smtp');
  const info = (await transport.sendMail({
    envelope: { from: SENDER, to: [alice.address] },
    raw,
  })) as { response: string };
  assert.match(info.response, /^250 2\.0\.0 Accepted [0-9a-z]{10,}$/);
  transport.close();
  return raw;
}

/** What was sent stands unchanged behind the fields that the server put before it. */
function assertUnchanged(stored: Buffer, sent: Buffer): string {
  const tail = stored.subarray(stored.length - sent.length);
  assert.ok(tail.equals(sent), 'the stored message does not end in the bytes that were sent');
  const prefix = stored.subarray(0, stored.length - sent.length).toString();
  assert.match(prefix, /^Return-Path: <offers@shop\.example>\r\nDelivered-To: alice@mail\.localhost\r\n/);
  for (const line of prefix.split('\r\n').slice(0, -1)) assert.match(line, /^([A-Za-z-]+: |[ \t])\S/);
  return prefix;
}

const labels = async (key: string): Promise<readonly { label: string; source: string }[]> =>
  (await rest(server, '/v1/labels', { key })).json<{ items: { label: string; source: string }[] }>().items;

test('sent, filtered, read back, learned from, rolled back', { timeout: 120_000 }, async (t) => {
  const dataDir = await newDataDir();
  server = await startServer(dataDir);
  t.after(async () => {
    await server.stop();
    await removeDataDir(dataDir);
  });
  alice = server.accounts.find(({ address }) => address.startsWith('alice@'))!;
  imap = await imapClient(server, alice);
  t.after(() => imap.close());
  const { secret: key } = await mailmeshJson<{ secret: string }>(dataDir, [
    'apikey',
    'create',
    'test',
    '--scope',
    'admin',
  ]);

  const first = await send(1);
  const uid = await arrived(imap, 'INBOX', '<rota-1@shop.example>');

  await t.test('IMAP gives back what was sent, byte for byte', async () => {
    const prefix = assertUnchanged(await fetchSource(imap, 'INBOX', uid), first);
    assert.match(prefix, /\r\nX-Mailmesh-Spam: ham, score=0\.\d\d, model=v1\//);
    assert.match(prefix, /\r\nAuthentication-Results: mail\.localhost;/);
    assert.match(prefix, /\r\nReceived: from client\.example \(/);
  });

  await t.test('POP3 gives the same bytes', async () => {
    const pop3 = new Pop3({
      host: '127.0.0.1',
      port: server.ports.pop3s!,
      tls: true,
      servername: 'mail.localhost',
      tlsOptions: { rejectUnauthorized: false },
      user: alice.address,
      password: alice.password,
    });
    try {
      const list = (await pop3.LIST()) as string[][];
      assert.equal(list.length, 1);
      const stream = (await pop3.command('RETR', 1)) as [string, NodeJS.ReadableStream];
      const pieces: Buffer[] = [];
      for await (const piece of stream[1]) pieces.push(Buffer.from(piece as Uint8Array));
      // This client takes the last line's CRLF for a part of the ending, and leaves byte-stuffing to its caller.
      const stuffed = `${Buffer.concat(pieces).toString('latin1')}\r\n`;
      const stored = Buffer.from(stuffed.replace(/^\.\./gm, '.'), 'latin1');
      assert.equal(stored.length, Number(list[0]![1]), 'RETR sends as many octets as LIST says');
      assertUnchanged(stored, first);
    } finally {
      await pop3.QUIT();
    }
  });

  let learned!: Model;
  await t.test('a move to Junk becomes a label, and training makes a new version that is activated', async () => {
    const lock = await imap.getMailboxLock('INBOX');
    await imap.messageMove(String(uid), 'Junk', { uid: true });
    lock.release();
    const given = await eventually('label', async () => (await labels(key))[0]);
    assert.equal(given.label, 'spam');
    const answer = await rest(server, '/v1/models-retrain', { method: 'POST', key, body: { who: 'test' } });
    assert.equal(answer.status, 200, answer.body.toString());
    const { model, outcome } = answer.json<{ model: Model; outcome: string }>();
    assert.match(outcome, /^activated: /);
    assert.equal(model.state, 'active');
    assert.ok(model.version > 1);
    learned = model;
  });

  await t.test(
    'the next message of the kind goes to Junk, and its header says which version decided and why',
    async () => {
      const second = await send(2);
      const junked = await arrived(imap, 'Junk', '<rota-2@shop.example>');
      const prefix = assertUnchanged(await fetchSource(imap, 'Junk', junked), second);
      const field = /\r\nX-Mailmesh-Spam:((?:[^\r]|\r\n[ \t])*)\r\n/.exec(prefix)![1]!.replace(/\r\n/g, '');
      assert.match(field, /^ spam, score=\d\.\d\d, model=v/);
      const [verdict, ...reasons] = field.split('; ');
      assert.match(verdict!, new RegExp(`model=v${learned.version}/${learned.id.slice(0, 8)}`));
      assert.equal(reasons.length, 3, field);
    },
  );

  await t.test('activating version 1 rolls back within a second', async () => {
    const begun = performance.now();
    const answer = await rest(server, '/v1/models/1/activate', {
      method: 'POST',
      key,
      body: { who: 'test', why: 'roll back' },
    });
    const tookMs = performance.now() - begun;
    assert.equal(answer.status, 200, answer.body.toString());
    assert.equal(answer.json<Model>().version, 1);
    assert.ok(tookMs < 1000, `took ${Math.round(tookMs)} ms`);
    await send(3);
    const where = await eventually('third message', async () => {
      for (const mailbox of ['INBOX', 'Junk']) {
        const lock = await imap.getMailboxLock(mailbox);
        const uids = await imap.search({ header: { 'Message-ID': '<rota-3@shop.example>' } }, { uid: true });
        lock.release();
        if (uids !== undefined && uids !== false && uids.length > 0) return { mailbox, uid: uids[0]! };
      }
      return undefined;
    });
    assert.match(
      (await fetchSource(imap, where.mailbox, where.uid)).toString(),
      /\r\nX-Mailmesh-Spam: [^;]*model=v1\//,
    );
  });

  await t.test('moving the message back out of Junk withdraws the label', async () => {
    const junked = await arrived(imap, 'Junk', '<rota-1@shop.example>');
    const lock = await imap.getMailboxLock('Junk');
    await imap.messageMove(String(junked), 'INBOX', { uid: true });
    lock.release();
    const given = await eventually('second label', async () => (await labels(key))[1]);
    assert.equal(given.label, 'withdrawn');
  });

  await t.test('the trace shows the whole way', async () => {
    const items = await mailmeshJson<
      { verdicts: Record<string, { skipped: boolean }>; deliveries: { mailbox: string }[]; state: string }[]
    >(dataDir, ['trace', '<rota-2@shop.example>']);
    assert.equal(items.length, 1);
    assert.equal(items[0]!.state, 'done');
    assert.deepEqual(
      items[0]!.deliveries.map(({ mailbox }) => mailbox),
      ['Junk'],
    );
    assert.deepEqual(Object.keys(items[0]!.verdicts).sort(), [
      'attachments',
      'authentication',
      'delivery',
      'placement',
      'spam',
    ]);
  });
});
