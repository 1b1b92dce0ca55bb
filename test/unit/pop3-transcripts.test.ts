/** Every dialogue of test/transcripts/pop3, against the engine on real embedded stores. */

import assert from 'node:assert/strict';
import { createHash, createHmac, pbkdf2Sync } from 'node:crypto';
import { join } from 'node:path';
import { after } from 'node:test';
import { makePop3Engine } from '../../core/pop3/engine.ts';
import { type ImapStores, openImapStores, PASSWORD } from '../support/imap-world.ts';
import { exampleMessage } from '../support/messages.ts';
import { Pop3World } from '../support/pop3-world.ts';
import type { TestConnection } from '../support/test-connection.ts';
import { type Header, runTranscripts, type World } from '../transcripts/run.ts';

let stores: Promise<ImapStores> | undefined;
after(async () => (await stores)?.close());

const HEADER = 'From: a@mail.example\r\nSubject: s\r\n\r\n';

/** Messages with something special, by name. */
const SPECIAL: Readonly<Record<string, string>> = {
  dots: `${HEADER}.\r\n..two\r\nx.\r\n.\r\n`,
  open: `${HEADER}no line end`,
  'bare-lf': `${HEADER}one\n.two\n.\nthree\n`,
  empty: '',
  'header-only': 'Subject: s\r\n',
  'five-lines': `${HEADER}1\r\n2\r\n3\r\n4\r\n5\r\n`,
  'utf8-header': Buffer.from('Subject: Grüße\r\n\r\nHallo\r\n').toString('latin1'),
  'latin1-header': 'Subject: Gr\xfc\xdfe\r\n\r\nHallo\r\n',
  'utf8-body': Buffer.from(`${HEADER}Grüße\r\n`).toString('latin1'),
};

const messageOf = (name: string): string => SPECIAL[name] ?? exampleMessage(Number(name));

/**
 * Header: `state: authorization` or `transaction` (when not given); `tls: off`; `insecure: yes`; `messages: 3` examples
 * in the inbox, or names of special ones: `messages: dots, open`; `enable: utf8`.
 */
async function open(header: Header): Promise<World> {
  stores ??= openImapStores();
  const world = await Pop3World.open(await stores, { insecureAuth: header.get('insecure') === 'yes' });
  const wanted = header.get('messages') ?? '0';
  const names = /^[0-9]+$/.test(wanted)
    ? Array.from({ length: Number(wanted) }, (_, index) => String(index + 1))
    : wanted.split(', ');
  for (const name of names) await world.mail.deliver('INBOX', messageOf(name));
  return {
    engine: makePop3Engine(world.env),
    connection: { tls: header.get('tls') !== 'off' },
    begin,
    actions: {
      deliver: (_connection, name) => world.mail.deliver('INBOX', messageOf(name)),
      expunge: (_connection, uid) => world.expunge(Number(uid)),
      'lose-hints': () => {
        world.mail.silent = true;
      },
      pass(_connection, ms) {
        world.now += Number(ms);
      },
      'fail-commit': () => {
        world.failing = true;
      },
      async messages(_connection, count) {
        const columns = await world.env.store.columns(world.mail.account, await world.mail.mailboxId('INBOX'));
        assert.equal(columns?.uids.length, Number(count));
      },
      locked: (_connection, yes) => assert.equal(world.locked, yes === 'yes'),
      listeners: (_connection, count) => assert.equal(world.mail.listeners, Number(count)),
      drain: (connection) => connection.engine.drain(),
      expire: (connection) => connection.engine.expire(),
      end: (connection) => connection.end(),
      /** `scram USER`: the whole exchange with the right password, up to the answer to the server's proof. */
      scram: (connection, user) => scram(connection, user),
    },
    async close() {},
  };
}

async function begin(connection: TestConnection, header: Header): Promise<void> {
  assert.equal(await connection.line(), '+OK mail.example Mailmesh POP3 ready');
  if (header.get('state') === 'authorization') return;
  if (header.get('enable') === 'utf8') await command(connection, 'UTF8');
  await command(connection, 'USER alice');
  await command(connection, `PASS ${PASSWORD}`);
}

async function command(connection: TestConnection, text: string): Promise<void> {
  await connection.send(`${text}\r\n`);
  assert.match((await connection.line()) ?? '<close>', /^\+OK /);
}

/** RFC 5802 from the client's side. */
async function scram(connection: TestConnection, user: string): Promise<void> {
  const bare = `n=${user},r=clientnonce`;
  await connection.send(`AUTH SCRAM-SHA-256 ${Buffer.from(`n,,${bare}`).toString('base64')}\r\n`);
  const challenge = Buffer.from((await connection.line())!.slice(2), 'base64').toString();
  const [nonce, salt, iterations] = challenge.split(',').map((part) => part.slice(2));
  const salted = pbkdf2Sync(PASSWORD, Buffer.from(salt!, 'base64'), Number(iterations), 32, 'sha256');
  const hmac = (key: Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest();
  const clientKey = hmac(salted, 'Client Key');
  const withoutProof = `c=biws,r=${nonce}`;
  const signed = `${bare},${challenge},${withoutProof}`;
  const signature = hmac(createHash('sha256').update(clientKey).digest(), signed);
  const proof = clientKey.map((byte, index) => byte ^ signature[index]!);
  await connection.send(
    `${Buffer.from(`${withoutProof},p=${Buffer.from(proof).toString('base64')}`).toString('base64')}\r\n`,
  );
  const verifier = Buffer.from((await connection.line())!.slice(2), 'base64').toString();
  assert.equal(verifier, `v=${hmac(hmac(salted, 'Server Key'), signed).toString('base64')}`);
}

runTranscripts(join(import.meta.dirname, '../transcripts/pop3'), open);
